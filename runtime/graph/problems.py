"""The problems that a check finds, in the terms of ComfyUI's `node_errors`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.graph.node_type import InputSpec
from runtime.nodes.protocol import InputFiles, ModelFiles

_LONGEST_LIST_SHOWN = 20
_LONGEST_VALUE_SHOWN = 200
_DEEPEST_SHOWN = 4
_LARGEST_INTEGER_SHOWN = 2**63


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with one node. `type` is ComfyUI's name for it."""

    type: str
    message: str
    details: str = ""
    extra_info: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "message": self.message,
            "details": self.details,
            "extra_info": {name: plain(value) for name, value in self.extra_info.items()},
        }


def input_problem(type: str, message: str, spec: InputSpec, details: str = "", **extra: Any) -> Problem:
    """A problem of one declared input."""
    text = f"{spec.name}: {details}" if details else spec.name
    info = {"input_name": spec.name, "input_config": config_of(spec), **extra}
    return Problem(type=type, message=message, details=text, extra_info=info)


def config_of(spec: InputSpec) -> list[Any] | None:
    """The input's declaration as object_info shows it; None for a list too long to send back."""
    if spec.is_file:
        return None
    if isinstance(spec.type, tuple):
        return [list(spec.type), dict(spec.options)] if len(spec.type) <= _LONGEST_LIST_SHOWN else None
    return [str(spec.type), dict(spec.options)]


def shown(value: object) -> str:
    """The value as a message shows it, cut to a readable length."""
    if isinstance(value, str) and len(value) > _LONGEST_VALUE_SHOWN:
        return f"{value[:_LONGEST_VALUE_SHOWN]!r}... ({len(value)} characters)"
    try:
        text = repr(value)
    except ValueError:  # Python spells out no integer of more than 4300 digits
        return "an integer of thousands of digits"
    return text if len(text) <= _LONGEST_VALUE_SHOWN else f"{text[:_LONGEST_VALUE_SHOWN]}... ({len(text)} characters)"


def shown_error(exc: Exception) -> str:
    """What an exception says, cut to a readable length; its class where it says nothing."""
    text = " ".join(str(exc).split())
    return text[:_LONGEST_VALUE_SHOWN] or type(exc).__name__


def plain(value: Any, depth: int = _DEEPEST_SHOWN) -> Any:
    """The value itself where it is small and every JSON reader takes it, else what a message would show."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if -_LARGEST_INTEGER_SHOWN <= value < _LARGEST_INTEGER_SHOWN else shown(value)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_VALUE_SHOWN else shown(value)
    if depth and isinstance(value, Mapping) and len(value) <= _LONGEST_LIST_SHOWN:
        return {str(name): plain(item, depth - 1) for name, item in value.items()}
    if depth and isinstance(value, list | tuple) and len(value) <= _LONGEST_LIST_SHOWN:
        return [plain(item, depth - 1) for item in value]
    return shown(value)


def shown_options(options: Sequence[object], near: Sequence[object]) -> str:
    """The values of a combo as a message shows them: all of a short list, else the near ones of a long one."""
    if len(options) <= _LONGEST_LIST_SHOWN:
        return str(list(options))
    hint = f", nearest: {list(near)}" if near else ""
    return f"the list of {len(options)}{hint}"


def missing_required(spec: InputSpec) -> Problem:
    """A required input that the node does not give."""
    wanted = spec.type if isinstance(spec.type, str) else "value"
    article = "an" if wanted[0] in "AEIOU" else "a"
    return input_problem("required_input_missing", f"the node needs {spec.name}, {article} {wanted}", spec)


def not_in_list(spec: InputSpec, value: object, options: Sequence[object], near: Sequence[object]) -> Problem:
    """A combo's value that it does not offer. `extra_info.folder` names the models folder of a model's name."""
    where = f"{shown(value)} not in {shown_options(options, near)}"
    if not isinstance(spec.type, ModelFiles):
        message = "the value is not one that the input offers"
        return input_problem("value_not_in_list", message, spec, where, received_value=value)
    folder = spec.type.folder
    message = f"the models folder (MODELS_PATH) has no such model in {folder}/"
    if not options:
        where = f"{shown(value)}: {folder}/ is not there or has no model in it"
    return input_problem("value_not_in_list", message, spec, where, received_value=value, folder=folder)


def no_such_input_file(spec: InputSpec, value: object, near: Sequence[object]) -> Problem:
    """The name of an input file that the job does not have."""
    kind = spec.type.kind if isinstance(spec.type, InputFiles) else "file"
    hint = f", nearest: {list(near)}" if near else ""
    details = f"no {kind} {shown(value)} among the request's images and in INPUT_PATH{hint}"
    return input_problem("custom_validation_failed", "the input file is not there", spec, details, received_value=value)
