"""One job on the native engine: the executor's host."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.engines.limits import GraphLimits
from runtime.engines.native.calls import Returned
from runtime.engines.native.context import JobContext, hidden_values
from runtime.engines.native.faults import translated
from runtime.engines.native.keys import EMBEDDINGS
from runtime.engines.native.registry import NodeRegistry
from runtime.engines.protocol import Run
from runtime.errors import GraphRejected, InvalidRequest, ModelMissing, OutOfMemory
from runtime.graph.node_type import NodeType
from runtime.graph.own_validation import constant_arguments, settled
from runtime.graph.workflow import Graph, Node
from runtime.nodes.pictures import Pictures, pictures_in
from runtime.nodes.protocol import ModelFiles

if TYPE_CHECKING:
    from runtime.models.store import ModelStore

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Job:
    """The executor's host for one job."""

    def __init__(
        self,
        graph: Graph,
        run: Run,
        types: NodeRegistry,
        models: ModelStore,
        limits: GraphLimits,
        free: Callable[[], None],
    ) -> None:
        self._graph = graph
        self._run = run
        self._types = types
        self._models = models
        self._limits = limits
        self._free = free
        self._context = JobContext(run, graph, models, max_pixels=limits.max_pixels)

    def node_type(self, class_type: str) -> NodeType:
        node_type = self._types.get(class_type)
        if node_type is None:
            raise GraphRejected(f"a node expanded to a node class that is not here: {class_type}")
        return node_type

    def hidden(self, node: Node, node_type: NodeType) -> Mapping[str, Any]:
        return hidden_values(node_type.hidden, self._context, node, self._graph) if node_type.hidden else {}

    def starting(self, node: Node, done: int, total: int) -> None:
        self._context.starting(node, done, total)

    def guard(self, node: Node, call: Callable[[], _T]) -> _T:
        try:
            return translated(node, call)
        except OutOfMemory:
            _log.warning("%s (node %s) ran out of memory: freeing and trying once more", node.class_type, node.id)
        self._free()
        return translated(node, call)

    def produced(self, node: Node, returned: Returned) -> None:
        for ui in returned.ui:
            for text in ui.get("text", ()):
                if isinstance(text, str):
                    self._context.save_text(node, text)
        for values in returned.outputs:
            for value in values:
                self._refuse_result(node, pictures_in(value))
                _refuse(node, self._limits.refusal_of_conditioning(value))

    def admit(self, node: Node, node_type: NodeType, values: Mapping[str, Any]) -> None:
        if not node_type.only_conditions:
            _refuse(node, self._limits.refusal(values))
        if node_type.pictures is not None:
            self._refuse_result(node, node_type.pictures(**values))

    def _refuse_result(self, node: Node, result: Pictures | None) -> None:
        if result is not None:
            _refuse(node, self._limits.refusal_of_result(result))

    def file_identity(self, type_: Any, name: str) -> str:
        """What stands for a file's content in a cache key; "" for a textual inversion that is not there."""
        if isinstance(type_, ModelFiles):
            try:
                return self._models.identity(type_.folder, name)
            except (ModelMissing, InvalidRequest):
                if type_ is not EMBEDDINGS:
                    raise
                return ""
        return sha256_of(self._run.files.input_path(name))


def _refuse(node: Node, reason: str | None) -> None:
    if reason is not None:
        raise GraphRejected(f"{node.class_type} (node {node.id}) {reason}", node_id=node.id)


def fingerprint(node: Node, node_type: NodeType) -> Any:
    """What the class's IS_CHANGED says of its constant inputs; NaN, equal to nothing, where it fails."""
    declared: Any = node_type.cls
    try:
        return settled(declared.IS_CHANGED(**constant_arguments(node, node_type)))
    except Exception:  # a custom node's own code: its node is then run each time, as in ComfyUI
        _log.warning("IS_CHANGED of %s (node %s) failed", node.class_type, node.id, exc_info=True)
        return float("nan")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
