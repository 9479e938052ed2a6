"""A node class's declarations, read once and typed, so that checking and running a node costs no reflection."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from runtime.nodes.pictures import Pictures
from runtime.nodes.protocol import InputFiles, ModelFiles

SCALARS = ("INT", "FLOAT", "STRING", "BOOLEAN")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """One declared input. `type` is a type name, a tuple of the values of a combo, or a file combo."""

    name: str
    type: Any
    options: Mapping[str, Any]
    required: bool
    scalar: str | None
    """The type's name where values are converted to it: INT, FLOAT, STRING, BOOLEAN."""
    is_file: bool
    is_lazy: bool
    takes_link: bool
    """The node is given the link itself, `[node_id, output]`, and not what it brings (ComfyUI's rawLink)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeType:
    """What a node class declares, in the terms of ComfyUI's node protocol."""

    name: str
    cls: type = field(repr=False)
    inputs: Mapping[str, InputSpec]
    hidden: Mapping[str, str]
    return_types: tuple[Any, ...]
    function: str
    is_output: bool
    takes_lists: bool
    lists_out: tuple[bool, ...]
    validates: frozenset[str]
    validates_all: bool
    has_is_changed: bool
    is_lazy: bool
    keeps_identity: bool
    """The result depends on the node's own id, so two equal nodes are not one (ComfyUI's UNIQUE_ID, NOT_IDEMPOTENT)."""
    pictures: Callable[..., Pictures] | None = field(default=None, repr=False)
    """How large the result of a call will be, from its arguments; None where the class does not say."""
    is_bounded: bool = True
    """Its arguments may be over the limits: it takes whole numbers, or says how large its result will be."""

    @property
    def takes_input_types(self) -> bool:
        """The class checks the types of its links itself."""
        return "input_types" in self.validates

    @property
    def only_conditions(self) -> bool:
        """All that it makes are conditionings: a width and a height are what a model is told, and take no memory."""
        return set(self.return_types) == {"CONDITIONING"}

    @property
    def makes_lists(self) -> bool:
        """Any output is a list of values."""
        return True in self.lists_out

    def is_list_out(self, place: int) -> bool:
        """Whether the output at `place` is a list of values."""
        return place < len(self.lists_out) and self.lists_out[place]


def read_node_type(name: str, cls: type) -> NodeType:
    """Read the declarations of `cls`. Calls its INPUT_TYPES once."""
    declared: Any = cls
    input_types = declared.INPUT_TYPES()
    hidden = MappingProxyType({key: _hidden_name(value) for key, value in input_types.get("hidden", {}).items()})
    validates, validates_all = _validated_names(cls)
    inputs = _read_inputs(input_types)
    pictures = getattr(declared, "PICTURES", None)
    return_types = tuple(map(_hashable, getattr(declared, "RETURN_TYPES", ())))
    return NodeType(
        name=name,
        cls=cls,
        inputs=MappingProxyType(inputs),
        hidden=hidden,
        return_types=return_types,
        function=declared.FUNCTION,
        is_output=getattr(declared, "OUTPUT_NODE", False) is True,
        takes_lists=bool(getattr(declared, "INPUT_IS_LIST", False)),
        lists_out=tuple(bool(flag) for flag in getattr(declared, "OUTPUT_IS_LIST", (False,) * len(return_types))),
        validates=validates,
        validates_all=validates_all,
        has_is_changed=hasattr(declared, "IS_CHANGED"),
        is_lazy=hasattr(declared, "check_lazy_status"),
        keeps_identity="UNIQUE_ID" in hidden.values() or bool(getattr(declared, "NOT_IDEMPOTENT", False)),
        pictures=pictures,
        is_bounded=pictures is not None or any(spec.scalar == "INT" for spec in inputs.values()),
    )


def _read_inputs(input_types: Mapping[str, Mapping[str, Any]]) -> dict[str, InputSpec]:
    specs: dict[str, InputSpec] = {}
    for category in ("required", "optional"):
        for name, config in input_types.get(category, {}).items():
            specs.setdefault(name, _read_input(name, config, required=category == "required"))
    return specs


def _read_input(name: str, config: Any, *, required: bool) -> InputSpec:
    type_, options = config[0], config[1] if len(config) > 1 else {}
    plain = str.__str__(type_) if isinstance(type_, str) else ""  # a wildcard type may claim to equal any name
    if plain == "COMBO" and options.get("options"):
        type_ = options["options"]
    return InputSpec(
        name=name,
        type=_hashable(type_),
        options=options,
        required=required,
        scalar=plain if plain in SCALARS else None,
        is_file=isinstance(type_, ModelFiles | InputFiles),
        is_lazy=bool(options.get("lazy")),
        takes_link=bool(options.get("rawLink")),
    )


def _hashable(type_: Any) -> Any:
    return tuple(type_) if isinstance(type_, list) else type_


def _hidden_name(value: Any) -> str:
    return value if isinstance(value, str) else str(value[0])


def _validated_names(cls: type) -> tuple[frozenset[str], bool]:
    validate = getattr(cls, "VALIDATE_INPUTS", None)
    if validate is None:
        return frozenset(), False
    spec = inspect.getfullargspec(validate)
    return frozenset([*spec.args, *spec.kwonlyargs]), spec.varkw is not None


def types_fit(received: Any, wanted: Any) -> bool:
    """Whether an output of type `received` may feed an input of type `wanted`.

    Types are equal, either is the wildcard `*`, or their comma-separated unions share a name. A type that overrides
    `__ne__`, as custom nodes' wildcards do, decides for itself; a combo takes a COMBO or a STRING-like list output.
    """
    if not received != wanted:  # noqa: SIM202 - custom nodes' wildcard types override __ne__ alone
        return True
    if isinstance(received, list | tuple) or isinstance(wanted, list | tuple):
        return _combo_fits(received, wanted)
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    ours, theirs = _names(received), _names(wanted)
    return bool(ours & theirs) or "*" in ours or "*" in theirs


def _combo_fits(received: Any, wanted: Any) -> bool:
    return received in ("*", "COMBO") or wanted == "*" or list(received) == list(wanted)


def _names(union: str) -> set[str]:
    return {name.strip() for name in union.split(",")}
