"""Which inputs of a graph name a model file, and in which kind of folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runtime.graph.workflow import Graph, Node
from runtime.models.folders import SUFFIXES

# Input -> kind, as ComfyUI's own loaders and most custom ones name them.
_INPUTS: Mapping[str, str] = {
    "ckpt_name": "checkpoints",
    "lora_name": "loras",
    "vae_name": "vae",
    "unet_name": "diffusion_models",
    "control_net_name": "controlnet",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
}
# Class and input where the input's name alone would say another thing, or nothing.
_CLASS_INPUTS: Mapping[tuple[str, str], str] = {
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("ModelPatchLoader", "name"): "model_patches",
    ("TrainLoraNode", "existing_lora"): "loras",
}
_EMBEDDING = re.compile(r"embedding:([^\s,:()\[\]]{1,200})")
_TEXT_CLASSES = re.compile(r"^CLIPTextEncode")


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """A name that a graph gives a model. `kind` is None where the input is none that is known; `input` is None for one
    that stands inside a text, an embedding's.
    """

    node_id: str
    class_type: str
    input: str | None
    kind: str | None
    name: str


def model_names(graph: Graph) -> Iterator[ModelName]:
    """Every text of `graph` that names a model, or that looks like the name of one in an input that is not known."""
    for node in graph.nodes.values():
        for name, value in node.inputs.items():
            if type(value) is not str or not value:
                continue
            kind = kind_of_input(node.class_type, name)
            if kind is not None or value.lower().endswith(SUFFIXES):
                yield ModelName(node_id=node.id, class_type=node.class_type, input=name, kind=kind, name=value)
            elif "embedding:" in value:
                yield from _embeddings(node, value)


def kind_of_input(class_type: str, name: str) -> str | None:
    """The kind of model that an input names."""
    return _CLASS_INPUTS.get((class_type, name)) or _INPUTS.get(name)


def embedding_files(text: str) -> Iterator[str]:
    """Every name that the files of the textual inversions in a prompt may have."""
    return (name + suffix for name in _embeddings_in(text) for suffix in ("", *SUFFIXES))


def _embeddings(node: Node, text: str) -> Iterator[ModelName]:
    if not _TEXT_CLASSES.match(node.class_type):
        return
    for name in _embeddings_in(text):
        yield ModelName(node_id=node.id, class_type=node.class_type, input=None, kind="embeddings", name=name)


def _embeddings_in(text: str) -> Iterator[str]:
    return (found[1].rstrip(".") for found in _EMBEDDING.finditer(text))
