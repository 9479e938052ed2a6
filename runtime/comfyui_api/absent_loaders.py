"""Loaders that the web page asks for by name when it starts, and stops over where one is absent.

Where the engine has them not, they are told of all the same, as what they are: not to be had here. A prompt that names
one is refused as for any other class that is not here. (The names are those that comfyui-frontend-package 1.27
registers for its library of models.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LOADERS = (
    ("ControlNetLoader", "controlnet", "control_net_name", ("CONTROL_NET",)),
    ("GLIGENLoader", "gligen", "gligen_name", ("GLIGEN",)),
    ("ImageOnlyCheckpointLoader", "checkpoints", "ckpt_name", ("MODEL", "CLIP_VISION", "VAE")),
    ("StyleModelLoader", "style_models", "style_model_name", ("STYLE_MODEL",)),
    ("UNETLoader", "diffusion_models", "unet_name", ("MODEL",)),
    ("UpscaleModelLoader", "upscale_models", "model_name", ("UPSCALE_MODEL",)),
)
"""Class, kind of models, input and outputs."""


def with_loaders(types: Mapping[str, Any], models: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """The node types, and those of _LOADERS that are not among them."""
    absent = {
        name: _entry(name, input, list(models.get(kind, ())), outputs)
        for name, kind, input, outputs in _LOADERS
        if name not in types
    }
    return {**types, **absent}


def _entry(name: str, input: str, models: list[str], outputs: Sequence[str]) -> Mapping[str, Any]:
    return {
        "input": {"required": {input: [models, {}]}},
        "input_order": {"required": [input]},
        "output": list(outputs),
        "output_is_list": [False] * len(outputs),
        "output_name": list(outputs),
        "name": name,
        "display_name": f"{name} (not on this deployment)",
        "description": "No engine of this deployment has this node: ComfyUI beside it (COMFYUI_PATH) does.",
        "python_module": "comfyui_serverless",
        "category": "not on this deployment",
        "output_node": False,
    }
