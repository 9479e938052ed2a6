"""What combos of files offer while one graph is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runtime.engines.limits import GraphLimits
from runtime.engines.protocol import JobFiles
from runtime.errors import InputRejected
from runtime.graph.node_type import InputSpec
from runtime.graph.workflow import Node
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

    def options(self, spec: InputSpec) -> Sequence[str]:
        if spec.type not in self._listed:
            self._listed[spec.type] = self._list(spec.type)
        return self._listed[spec.type]

    def has(self, spec: InputSpec, name: str) -> bool:
        if isinstance(spec.type, ModelFiles):
            return name in self.options(spec)
        try:
            self._files.input_path(name)
        except InputRejected:
            return False
        return True

    def limit(self, spec: InputSpec, node: Node) -> tuple[float, str] | None:
        return self._limits.of_input(spec.name, node)

    def _list(self, type_: ModelFiles | InputFiles) -> Sequence[str]:
        if isinstance(type_, ModelFiles):
            return self._models.names(type_.folder)
        return self._files.input_names(type_.kind)
