"""Which graphs take about as long as each other."""

from __future__ import annotations

import hashlib
import json
from math import prod
from typing import Any

from runtime.graph.workflow import Graph, Node

_MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
_SIDES = ("width", "height")
_WORK = (
    *("steps", "start_at_step", "end_at_step", "denoise", "sampler_name", "scheduler"),
    *("batch_size", "amount", "length", "frames", "megapixels", "scale_by", "upscale_by"),
)
"""The inputs that say how much a node has to do, apart from its pixels."""


def likeness_of(graph: Graph) -> str:
    """The same text for graphs of the same nodes, models, pixels, steps and batch, whatever their prompts and seeds.

    How nodes are linked, named and numbered does not count; a picture that is loaded has no size here.
    """
    facts = sorted(json.dumps(_facts(node), sort_keys=True) for node in graph.nodes.values())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _facts(node: Node) -> dict[str, Any]:
    kept = {name: value for name, value in node.inputs.items() if _counts(name, value)}
    sides = [value for name in _SIDES if _is_number(value := node.inputs.get(name))]
    return {"class_type": node.class_type, **kept, **({"pixels": prod(sides)} if sides else {})}


def _counts(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return name in _WORK or value.lower().endswith(_MODEL_SUFFIXES)
    return name in _WORK and _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
