"""What LoRA files call the layers of a UNet and of CLIP: name in the file -> parameter here.

Kohya's tools write the checkpoint's or diffusers' path with underscores behind `lora_unet_` and `lora_te_`, diffusers
and peft its own path (sources: github.com/kohya-ss/sd-scripts:networks/lora.py, github.com/huggingface/diffusers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from runtime.diffusion.unet import UNet, file_name
from runtime.diffusion.unet_spec import BlockSpec, DownSpec, ResidualSpec, TransformerSpec, UpSpec

# What diffusers calls the parts of a layer that have names of their own here.
_DIFFUSERS_PARTS: Mapping[str, str] = {
    "enter_norm": "norm1",
    "enter_conv": "conv1",
    "time_shift": "time_emb_proj",
    "leave_norm": "norm2",
    "leave_conv": "conv2",
    "skip": "conv_shortcut",
    "to_out": "to_out.0",
    "widen": "net.0.proj",
    "narrow": "net.2",
}
_DIFFUSERS_ENDS: Mapping[str, str] = {
    "time_in": "time_embedding.linear_1",
    "time_out": "time_embedding.linear_2",
    "adm_in": "add_embedding.linear_1",
    "adm_out": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out_norm": "conv_norm_out",
    "out_conv": "conv_out",
}

_PROJECTION = "text_projection"  # stands beside the text model, not in it


def unet_layers(unet: UNet) -> dict[str, str]:
    """The weights of `unet` by every name that a LoRA may give their layer."""
    places = dict(_DIFFUSERS_ENDS) | dict(_places(unet))
    layers: dict[str, str] = {}
    for parameter in _weights(unet):
        path = parameter.removesuffix(".weight")
        own = file_name(path)
        layers |= dict.fromkeys((f"lora_unet_{_flat(own)}", f"diffusion_model.{own}"), parameter)
        layers |= dict.fromkeys(_diffusers_names(_diffusers_path(path, places)), parameter)
    return layers


def clip_layers(model: nn.Module, *, key: str, number: int) -> dict[str, str]:
    """The weights of the `number`-th (from 1) text encoder by every name that a LoRA may give their layer.

    As in ComfyUI the trainers' names stand for the matrices alone: norms and vectors have the checkpoint's own.
    """
    layers: dict[str, str] = {}
    for parameter in _weights(model):
        path = parameter.removesuffix(".weight")
        is_matrix = path == _PROJECTION or ".mlp." in path or ".self_attn." in path
        path = path if path == _PROJECTION else f"text_model.{path}"
        names = [f"text_encoders.{key}.transformer.{path}"]
        if is_matrix:
            names += [f"lora_te{number}_{_flat(path)}", f"text_encoder_{number}.{path}"]
        if is_matrix and number == 1:
            names += [f"lora_te_{_flat(path)}", f"text_encoder.{path}"]
        layers |= dict.fromkeys(names, parameter)
    return layers


def _weights(module: nn.Module) -> Iterator[str]:
    return (name for name, _ in module.named_parameters() if name.endswith(".weight"))


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _diffusers_names(path: str) -> Iterator[str]:
    yield from (f"lora_unet_{_flat(path)}", f"lycoris_{_flat(path)}", path, f"unet.{path}")
    processor = path.replace(".to_", ".processor.to_").removesuffix(".0")
    yield from (processor, f"unet.{processor}")


def _diffusers_path(path: str, places: Mapping[str, str]) -> str:
    """The path of a layer in diffusers, from that here."""
    place = next(place for place in places if path == place or path.startswith(f"{place}."))
    inside = path[len(place) + 1 :].split(".")
    return ".".join([places[place], *(_DIFFUSERS_PARTS.get(part, part) for part in inside if part)])


def _places(unet: UNet) -> Iterator[tuple[str, str]]:
    """Where each layer of the blocks stands here, and in diffusers."""
    yield from _numbered("input_blocks", unet.spec.input_blocks, "down_blocks")
    yield from (
        ("middle_block.0", "mid_block.resnets.0"),
        ("middle_block.1", "mid_block.attentions.0"),
        ("middle_block.2", "mid_block.resnets.1"),
    )
    yield from _numbered("output_blocks", unet.spec.output_blocks, "up_blocks")


def _numbered(here: str, blocks: tuple[BlockSpec, ...], there: str) -> Iterator[tuple[str, str]]:
    """Levels, and the residual blocks and transformers of each, as diffusers counts: a resampling ends a level."""
    level = number = 0
    for index, block in enumerate(blocks):
        for position, layer in enumerate(block):
            place = f"{here}.{index}.{position}"
            match layer:
                case ResidualSpec():
                    yield place, f"{there}.{level}.resnets.{number}"
                case TransformerSpec():
                    yield place, f"{there}.{level}.attentions.{number}"
                case DownSpec():
                    yield f"{place}.op", f"{there}.{level}.downsamplers.0.conv"
                case UpSpec():
                    yield f"{place}.conv", f"{there}.{level}.upsamplers.0.conv"
        is_last = any(isinstance(layer, DownSpec | UpSpec) for layer in block)
        is_residual = any(isinstance(layer, ResidualSpec) for layer in block)
        level, number = (level + 1, 0) if is_last else (level, number + is_residual)
