"""What a graph needs that the native engine does not have: node classes, and families of models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ModelError, ServerlessError
from runtime.graph.workflow import Graph, Node
from runtime.models.tensor_file import SAFETENSORS_SUFFIXES, open_tensors
from runtime.nodes.protocol import ModelFiles

if TYPE_CHECKING:
    from runtime.engines.native.registry import NodeRegistry
    from runtime.models.store import ModelStore

_OFTEN_PICKLES = frozenset({"controlnet", "upscale_models"})
"""Kinds most of whose files are pickles and of many architectures: those are looked into too."""


class Lacks:
    """Tells it from the node types, and from the headers of the model files, each read once as long as it stays."""

    def __init__(self, types: NodeRegistry, models: ModelStore) -> None:
        self._types = types
        self._models = models
        self._known: dict[str, str | None] = {}

    def of(self, graph: Graph) -> list[str]:
        """One line for each thing that is missing."""
        return list(dict.fromkeys(line for node in graph.nodes.values() for line in self._of_node(node)))

    def _of_node(self, node: Node) -> Iterator[str]:
        node_type = self._types.get(node.class_type)
        if node_type is None:
            yield f"the node class {node.class_type}"
            return
        for name, spec in node_type.inputs.items():
            value = node.inputs.get(name)
            if isinstance(spec.type, ModelFiles) and isinstance(value, str):
                misfit = self._misfit(spec.type.folder, value)
                if misfit is not None:
                    yield misfit

    def _misfit(self, folder: str, name: str) -> str | None:
        try:
            path, identity = self._models.path(folder, name), self._models.identity(folder, name)
        except ServerlessError:
            return None  # a model that is not there is missing on whatever engine
        if path.suffix.lower() not in SAFETENSORS_SUFFIXES and folder not in _OFTEN_PICKLES:
            return None  # to look into a pickle is to load it
        if identity not in self._known:
            self._known[identity] = _misfit(folder, path)
        found = self._known[identity]
        return None if found is None else f"the model {name}: {found}"


def _misfit(folder: str, path: Path) -> str | None:
    from runtime.diffusion.checkpoint import check_checkpoint, check_vae
    from runtime.diffusion.control import check_control
    from runtime.diffusion.lora import check_lora
    from runtime.upscaling.upscaler import check_upscaler

    checks = {
        "checkpoints": check_checkpoint,
        "controlnet": check_control,
        "loras": check_lora,
        "upscale_models": check_upscaler,
        "vae": check_vae,
    }
    check = checks.get(folder)
    if check is None:
        return None
    try:
        with open_tensors(path) as file:
            shapes = file.shapes
    except ModelError:
        return None  # a damaged file is refused with its fault by the engine that loads it
    try:
        check(shapes)
    except ModelError as exc:
        return exc.message
    return None
