"""Which cases cover what: each native node, each option of its combos and switches, each family, sampler, scheduler."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.parity.case_file import Case

FAMILIES = {
    "SD 1.x": "sd1_mini",
    "SD 1.x inpainting": "sd1_inpaint_mini",
    "SD 2.x, eps": "sd2_mini",
    "SD 2.x, v-prediction": "sd2_v_mini",
    "SD 2.x inpainting": "sd2_inpaint_mini",
    "SDXL, eps": "sdxl_mini",
    "SDXL, v-prediction": "sdxl_v_mini",
    "SDXL, v-prediction, zero terminal SNR": "sdxl_ztsnr_mini",
    "SDXL inpainting": "sdxl_inpaint_mini",
    "SDXL refiner": "sdxl_refiner_mini",
}
# Combos that the tables of samplers and schedulers cover, whichever node they are on.
TABLED = ("sampler_name", "scheduler")
# Options that no graph of these nodes can give a right input to, and why.
UNREACHABLE: Mapping[tuple[Hashable, ...], str] = {
    ("ImageToMask", "channel", "alpha"): "no node here makes a picture of four channels"
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one row of a table is about, and the names of the cases that cover it, or why there can be none."""

    subject: str
    cases: tuple[str, ...]
    reason: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.cases and not self.reason


class Coverage:
    """Which of `cases` have a node of a class, or an input of a value."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._names: dict[tuple[Hashable, ...], dict[str, None]] = {}
        for case in cases:
            for fact in _facts(case):
                self._names.setdefault(fact, {})[case.name] = None

    def nodes(self, classes: Mapping[str, type]) -> list[Row]:
        """A row for each node class: the cases whose workflow has such a node."""
        return [Row(subject=name, cases=self._covering(name)) for name in sorted(classes)]

    def options(self, classes: Mapping[str, type]) -> list[Row]:
        """A row for each value of each combo and switch of each node class."""
        return [
            self._option(class_type, name, value)
            for class_type in sorted(classes)
            for name, values in _choices(classes[class_type])
            for value in values
        ]

    def values(self, name: str, values: Iterable[str]) -> list[Row]:
        """A row for each of `values`: the cases in which an input called `name` has it, on whichever node."""
        return [Row(subject=value, cases=self._covering(None, name, value)) for value in values]

    def families(self) -> list[Row]:
        """A row for each model family: the cases that load its checkpoint."""
        return [
            Row(subject=family, cases=self._covering(None, "ckpt_name", f"{checkpoint}.safetensors"))
            for family, checkpoint in FAMILIES.items()
        ]

    def _option(self, class_type: str, name: str, value: Hashable) -> Row:
        shown = str(value).lower() if isinstance(value, bool) else value
        return Row(
            subject=f"{class_type}.{name} = {shown}",
            cases=self._covering(class_type, name, value),
            reason=UNREACHABLE.get((class_type, name, value), ""),
        )

    def _covering(self, *fact: Hashable) -> tuple[str, ...]:
        return tuple(self._names.get(fact, ()))


def _facts(case: Case) -> Iterator[tuple[Hashable, ...]]:
    """What `case` covers: each node's class, and each input that is no link with and without its node's class."""
    for node in case.workflow.values():
        yield (node["class_type"],)
        for name, value in node["inputs"].items():
            if isinstance(value, Hashable):
                yield (node["class_type"], name, value)
                yield (None, name, value)


def _choices(node_class: Any) -> Iterator[tuple[str, list[Any]]]:
    """The combos and switches of a node class, by input name; not those whose values are files."""
    inputs = node_class.INPUT_TYPES()
    for name, spec in {**inputs.get("required", {}), **inputs.get("optional", {})}.items():
        if name in TABLED:
            continue
        if isinstance(spec[0], list | tuple):
            yield name, list(spec[0])
        elif spec[0] == "BOOLEAN":
            yield name, [True, False]
