from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from runtime.diffusion.clip import ClipText
from runtime.diffusion.clip_weights import load_clip
from runtime.diffusion.family import TextLayout
from runtime.diffusion.text_layouts import TOWERS, TowerFacts
from runtime.errors import ModelCorrupt

CPU = torch.device("cpu")
[L] = TOWERS[TextLayout.CLIP_L]
[H] = TOWERS[TextLayout.OPENCLIP_H]
[G] = TOWERS[TextLayout.OPENCLIP_G]
L_PREFIX = "cond_stage_model.transformer.text_model."
H_PREFIX = "cond_stage_model.model."
G_PREFIX = "conditioner.embedders.0.model."


def _tensors(shapes: dict[str, tuple[int, ...]], prefix: str, device: str = "cpu") -> dict[str, Tensor]:
    return {prefix + name: torch.zeros(shape, dtype=torch.float16, device=device) for name, shape in shapes.items()}


def _clip_shapes(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """CLIP-L's tensors as transformers names them."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.token_embedding.weight": (49408, width),
        "embeddings.position_embedding.weight": (77, width),
        "embeddings.position_ids": (1, 77),
        "final_layer_norm.weight": (width,),
        "final_layer_norm.bias": (width,),
    }
    linears = {f"self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
    for name, shape in {**linears, "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}.items():
        for block in range(depth):
            shapes[f"encoder.layers.{block}.{name}.weight"] = shape
            shapes[f"encoder.layers.{block}.{name}.bias"] = shape[:1]
    for block in range(depth):
        for name in ("layer_norm1.weight", "layer_norm1.bias", "layer_norm2.weight", "layer_norm2.bias"):
            shapes[f"encoder.layers.{block}.{name}"] = (width,)
    return shapes


def _openclip_shapes(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """The same as OpenCLIP names them."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding.weight": (49408, width),
        "positional_embedding": (77, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
        "text_projection": (width, width),
        "logit_scale": (),
    }
    matrices = {
        "attn.in_proj_": (3 * width, width),
        "attn.out_proj.": (width, width),
        "mlp.c_fc.": (4 * width, width),
        "mlp.c_proj.": (width, 4 * width),
        "ln_1.": (width,),
        "ln_2.": (width,),
    }
    for block in range(depth):
        for name, shape in matrices.items():
            shapes[f"transformer.resblocks.{block}.{name}weight"] = shape
            shapes[f"transformer.resblocks.{block}.{name}bias"] = shape[:1]
    return shapes


def _l(width: int = 64, depth: int = 2) -> dict[str, Tensor]:
    return _tensors(_clip_shapes(width, depth), L_PREFIX)


def _h(width: int = 64, depth: int = 2) -> dict[str, Tensor]:
    return _tensors(_openclip_shapes(width, depth), H_PREFIX)


def _parameter(model: ClipText, name: str) -> Tensor:
    return dict(model.named_parameters())[name]


def test_sizes_are_read_from_shapes() -> None:
    model = load_clip(_l(width=128, depth=3), L, device=CPU, dtype=torch.float16)
    assert (model.width, len(model.encoder.layers)) == (128, 3)
    assert _parameter(model, "encoder.layers.0.mlp.fc1.weight").shape == (512, 128)


def test_tensors_of_the_wanted_dtype_are_used_as_they_are() -> None:
    tensors = _l()
    model = load_clip(tensors, L, device=CPU, dtype=torch.float16)
    assert all(
        parameter.data_ptr() == tensors[L_PREFIX + name].data_ptr() for name, parameter in model.named_parameters()
    )


def test_a_fused_projection_is_split_by_views() -> None:
    tensors = _h()
    fused = tensors[f"{H_PREFIX}transformer.resblocks.1.attn.in_proj_weight"]
    model = load_clip(tensors, H, device=CPU, dtype=torch.float16)
    offsets = [
        _parameter(model, f"encoder.layers.1.self_attn.{part}_proj.weight").data_ptr() - fused.data_ptr()
        for part in "qkv"
    ]
    assert offsets == [0, 64 * 64 * 2, 2 * 64 * 64 * 2]


def test_openclips_text_projection_is_transposed_by_a_view() -> None:
    tensors = _h()
    projection = tensors[f"{H_PREFIX}text_projection"]
    projection[1, 2] = 5
    weight = _parameter(load_clip(tensors, H, device=CPU, dtype=torch.float16), "text_projection.weight")
    assert weight.data_ptr() == projection.data_ptr()
    assert weight[2, 1] == 5


def test_a_text_projection_may_be_a_linear_layers_already() -> None:
    tensors = _h()
    weight = tensors.pop(f"{H_PREFIX}text_projection")
    tensors[f"{H_PREFIX}text_projection.weight"] = weight
    model = load_clip(tensors, H, device=CPU, dtype=torch.float16)
    assert _parameter(model, "text_projection.weight").stride() == weight.stride()


def test_weights_are_widened_but_for_the_token_table() -> None:
    model = load_clip(_l(), L, device=CPU, dtype=torch.float32)
    assert {parameter.dtype for parameter in model.encoder.parameters()} == {torch.float32}
    assert _parameter(model, "embeddings.token_embedding.weight").dtype == torch.float16


def test_early_conversions_without_text_model_in_their_names_are_read() -> None:
    tensors = {name.replace("text_model.", ""): tensor for name, tensor in _l().items()}
    assert load_clip(tensors, L, device=CPU, dtype=torch.float16).width == 64


def test_openclip_h_does_without_its_projection() -> None:
    tensors = _h()
    del tensors[f"{H_PREFIX}text_projection"]
    assert load_clip(tensors, H, device=CPU, dtype=torch.float16).text_projection is None


@pytest.mark.parametrize(
    "name",
    [
        "token_embedding.weight",
        "text_projection",
        "ln_final.bias",
        "transformer.resblocks.0.mlp.c_fc.weight",
        "transformer.resblocks.0.ln_2.weight",
    ],
)
def test_a_missing_tensor_is_named_as_the_file_would(name: str) -> None:
    tensors = _tensors(_openclip_shapes(64, 2), G_PREFIX)
    del tensors[G_PREFIX + name]
    with pytest.raises(ModelCorrupt, match=f"no tensor {G_PREFIX}{name}, "):
        load_clip(tensors, G, device=CPU, dtype=torch.float16)


def test_a_missing_block_is_named() -> None:
    tensors = {name: tensor for name, tensor in _h(depth=3).items() if ".resblocks.1." not in name}
    with pytest.raises(ModelCorrupt, match=r"no tensor .*resblocks\.1\."):
        load_clip(tensors, H, device=CPU, dtype=torch.float16)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("embeddings.token_embedding.weight", (100, 64), r"\[100, 64\], expected \[49408, 'any'\]"),
        ("embeddings.token_embedding.weight", (49408, 80), "80 wide, expected a multiple of 64"),
        ("embeddings.token_embedding.weight", (49408,), r"\[49408\], expected \[49408, 'any'\]"),
        ("embeddings.position_embedding.weight", (248, 64), r"\[248, 64\], expected \[77, 64\]"),
        ("encoder.layers.1.self_attn.q_proj.weight", (64, 32), r"\[64, 32\], expected \[64, 64\]"),
        ("encoder.layers.0.mlp.fc1.weight", (256, 32), r"\[256, 32\], expected \['any', 64\]"),
    ],
)
def test_a_misshapen_tensor_is_named_with_its_shape(name: str, shape: tuple[int, ...], message: str) -> None:
    tensors = _l()
    tensors[L_PREFIX + name] = torch.zeros(shape, dtype=torch.float16)
    with pytest.raises(ModelCorrupt, match=f"{L_PREFIX}{name} .*{message}"):
        load_clip(tensors, L, device=CPU, dtype=torch.float16)


def test_a_fused_projection_of_another_size_is_named() -> None:
    tensors = _h()
    tensors[f"{H_PREFIX}transformer.resblocks.0.attn.in_proj_weight"] = torch.zeros(100, 64, dtype=torch.float16)
    with pytest.raises(ModelCorrupt, match=r"resblocks.0.attn.in_proj_weight\[q\] has the shape \[34, 64\]"):
        load_clip(tensors, H, device=CPU, dtype=torch.float16)


def test_numbers_that_are_no_floats_are_refused() -> None:
    tensors = _l()
    name = f"{L_PREFIX}final_layer_norm.weight"
    tensors[name] = torch.zeros(64, dtype=torch.int32)
    with pytest.raises(ModelCorrupt, match=f"{name} is of torch.int32"):
        load_clip(tensors, L, device=CPU, dtype=torch.float16)


@pytest.mark.parametrize(
    ("facts", "shapes", "parameters"),
    [
        (L, _clip_shapes(768, 12), 123_060_480),
        (H, _openclip_shapes(1024, 24), 354_032_641),
        (G, _openclip_shapes(1280, 32), 694_659_841),
    ],
    ids=["CLIP-L", "OpenCLIP-H", "OpenCLIP-G"],
)
def test_real_sizes_build(facts: TowerFacts, shapes: dict[str, tuple[int, ...]], parameters: int) -> None:
    tensors = _tensors(shapes, facts.prefixes[0], "meta")
    model = load_clip(tensors, facts, device=torch.device("meta"), dtype=torch.float16)
    logit_scale = int(facts.openclip)  # one number more, which OpenCLIP counts and no encoding needs
    assert sum(math.prod(parameter.shape) for parameter in model.parameters()) + logit_scale == parameters
