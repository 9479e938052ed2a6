"""Nodes that keep latents in files: ComfyUI's `.latent`, a safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from runtime.errors import InputRejected
from runtime.nodes.inputs import InputTypes, Latent, text
from runtime.nodes.protocol import CONTEXT, InputFiles, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR = "latent_tensor"
_UNSCALED = "latent_format_version_0"  # an empty tensor of this name: `latent_tensor` is not scaled for a model
_OLD_SCALE = 0.18215  # files without that mark hold SD 1.x's scaled latents


class SaveLatent:
    """Latents as a file, with the workflow in its metadata."""

    RETURN_TYPES = ()
    FUNCTION = "save"
    CATEGORY = "_for_testing"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {"samples": ("LATENT",), "filename_prefix": text(default="latents/ComfyUI")},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT},
        }

    def save(
        self,
        samples: Latent,
        context: NodeContext,
        filename_prefix: str = "ComfyUI",
        prompt: object = None,
        extra_pnginfo: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        from safetensors.torch import save

        tensors = {_TENSOR: samples["samples"].contiguous(), _UNSCALED: torch.tensor([])}
        metadata = {"prompt": "" if prompt is None else json.dumps(prompt)}
        metadata |= {key: json.dumps(value) for key, value in (extra_pnginfo or {}).items()}
        entry = context.save_file(save(tensors, metadata), filename_prefix, ".latent", kind="latent")
        return {"ui": {"latents": [entry]}}


class LoadLatent:
    """Latents from a file of the job. Raises InputRejected for one that is no `.latent` file."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "load"
    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"latent": (InputFiles("latent"),)}, "hidden": {"context": CONTEXT}}

    def load(self, latent: str, context: NodeContext) -> tuple[Latent]:
        tensors = _read(latent, context)
        scale = 1.0 if _UNSCALED in tensors else 1.0 / _OLD_SCALE
        return ({"samples": tensors[_TENSOR].float() * scale},)


def _read(name: str, context: NodeContext) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(context.input_path(name))
    except SafetensorError as exc:
        raise InputRejected(f"input {name!r} is no .latent file: expected safetensors, but {exc}") from exc
    if _TENSOR not in tensors:
        raise InputRejected(f"input {name!r} is no .latent file: expected the tensor {_TENSOR!r} in {sorted(tensors)}")
    return tensors


NODE_CLASS_MAPPINGS: dict[str, type] = {"SaveLatent": SaveLatent, "LoadLatent": LoadLatent}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
