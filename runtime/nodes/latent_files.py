"""Nodes that keep latents in files: ComfyUI's `.latent`, a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from runtime.errors import InputRejected, ModelError
from runtime.nodes.inputs import InputTypes, Latent, text
from runtime.nodes.protocol import CONTEXT, InputFiles, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR = "latent_tensor"
_UNSCALED = "latent_format_version_0"  # an empty tensor of this name: `latent_tensor` is not scaled for a model
_MOST_NAMES = 5
_LONGEST_NAME = 80
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
    from runtime.models.safetensors_file import SafetensorsFile

    path = context.input_path(name)
    try:
        with SafetensorsFile(path) as file:
            _check_shapes(name, file.shapes)
            known = [each for each in (_TENSOR, _UNSCALED) if each in file.shapes]
            return file.tensors(known, device=torch.device("cpu"))
    except ModelError as exc:
        reason = exc.message.removeprefix(f"{path} ")  # where it lies is not the client's to know
        raise InputRejected(f"input {name!r} is no .latent file: expected safetensors, but it {reason}") from exc


def _check_shapes(name: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    shape = shapes.get(_TENSOR)
    if shape is None:
        some = ", ".join(each[:_LONGEST_NAME] for each in sorted(shapes)[:_MOST_NAMES])
        raise InputRejected(f"input {name!r} is no .latent file: expected the tensor {_TENSOR!r}, but it has {some}")
    if len(shape) != 4 or 0 in shape:
        raise InputRejected(f"input {name!r}: {_TENSOR} has the shape {list(shape)}, expected [batch, channels, h, w]")


NODE_CLASS_MAPPINGS: dict[str, type] = {"SaveLatent": SaveLatent, "LoadLatent": LoadLatent}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
