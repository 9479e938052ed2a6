"""What combos of files offer while one graph is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.engines.limits import GraphLimits
from runtime.engines.protocol import JobFiles
from runtime.graph.node_type import InputSpec
from runtime.nodes.protocol import InputFiles, ModelFiles

if TYPE_CHECKING:
    from runtime.models.store import ModelStore


class CheckFiles:
    """The files that one check may name; each folder is listed at most once."""

    def __init__(self, models: ModelStore, files: JobFiles, limits: GraphLimits) -> None:
        self._models = models
        self._files = files
        self._limits = limits
        self._listed: dict[Any, Sequence[str]] = {}
        self._names: dict[Any, frozenset[str]] = {}

    def options(self, spec: InputSpec) -> Sequence[str]:
        if spec.type not in self._listed:
            self._listed[spec.type] = listed = self._list(spec.type)
            self._names[spec.type] = frozenset(listed)
        return self._listed[spec.type]

    def has(self, spec: InputSpec, name: str) -> bool:
        self.options(spec)
        return name in self._names[spec.type] or (isinstance(spec.type, InputFiles) and self._files.has_input(name))

    def limit(self, spec: InputSpec, inputs: Mapping[str, Any]) -> tuple[float, str] | None:
        return self._limits.of_input(spec.name, inputs)

    def _list(self, type_: ModelFiles | InputFiles) -> Sequence[str]:
        if isinstance(type_, ModelFiles):
            return self._models.names(type_.folder)
        return self._files.input_names(type_.kind)
