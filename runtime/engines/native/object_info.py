"""Node types in ComfyUI's object_info form, which clients and converters read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.graph.node_type import InputSpec, NodeType
from runtime.nodes import display_names
from runtime.nodes.protocol import InputFiles, ModelFiles

if TYPE_CHECKING:
    from runtime.models.store import ModelStore


def describe(node_type: NodeType, models: ModelStore) -> Mapping[str, Any]:
    """One node type. A combo of model files lists the names on the volume, one of input files none."""
    inputs: dict[str, dict[str, Any]] = {
        "required": {name: _input(spec, models) for name, spec in node_type.inputs.items() if spec.required},
        "optional": {name: _input(spec, models) for name, spec in node_type.inputs.items() if not spec.required},
        "hidden": {name: kind for name, kind in node_type.hidden.items() if kind != "CONTEXT"},
    }
    cls: Any = node_type.cls
    return {
        "input": {category: specs for category, specs in inputs.items() if specs},
        "input_order": {category: list(specs) for category, specs in inputs.items() if specs},
        "output": [list(type_) if isinstance(type_, tuple) else type_ for type_ in node_type.return_types],
        "output_is_list": list(node_type.lists_out),
        "output_name": list(getattr(cls, "RETURN_NAMES", node_type.return_types)),
        "name": node_type.name,
        "display_name": display_names().get(node_type.name, node_type.name),
        "description": getattr(cls, "DESCRIPTION", ""),
        "python_module": cls.__module__,
        "category": getattr(cls, "CATEGORY", ""),
        "output_node": node_type.is_output,
    }


def _input(spec: InputSpec, models: ModelStore) -> list[Any]:
    if isinstance(spec.type, ModelFiles):
        return [models.names(spec.type.folder), dict(spec.options)]
    if isinstance(spec.type, InputFiles):
        return [[], {f"{spec.type.kind}_upload": True, **spec.options}]
    return [list(spec.type) if isinstance(spec.type, tuple) else spec.type, dict(spec.options)]
