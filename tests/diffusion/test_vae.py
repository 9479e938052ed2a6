from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from runtime.diffusion.checkpoint import load_vae
from runtime.diffusion.kl import KL
from runtime.diffusion.kl_spec import kl_spec
from runtime.diffusion.vae import Autoencoder
from runtime.diffusion.vae_names import original_names
from runtime.errors import ModelCorrupt

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def path(mini_models: Path) -> Path:
    return mini_models / "vae" / "vae_mini.safetensors"


@pytest.fixture(scope="module")
def vae(path: Path) -> Autoencoder:
    return load_vae(path, device=CPU)


def _pixels(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def _latent(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_a_picture_becomes_a_latent_of_an_eighth_and_comes_back_at_its_size(vae: Autoencoder) -> None:
    latent = vae.encode(_pixels(2, 32, 48, 3))
    picture = vae.decode(latent)
    assert latent.shape == (2, 4, 4, 6)
    assert picture.shape == (2, 32, 48, 3)
    assert picture.dtype == latent.dtype == torch.float32


def test_what_comes_out_is_clamped_to_what_a_picture_can_show(vae: Autoencoder) -> None:
    picture = vae.decode(_latent(1, 4, 4, 4) * 100)
    assert picture.min().item() == 0
    assert picture.max().item() == 1


def test_a_picture_of_an_odd_size_is_cropped_at_all_sides_evenly(vae: Autoencoder) -> None:
    pixels = _pixels(1, 37, 30, 3)
    assert torch.equal(vae.encode(pixels), vae.encode(pixels[:, 2:34, 3:27]))


def test_the_alpha_channel_is_ignored(vae: Autoencoder) -> None:
    pixels = _pixels(1, 16, 16, 4)
    assert torch.equal(vae.encode(pixels), vae.encode(pixels[..., :3]))


def test_encoding_is_no_matter_of_chance(vae: Autoencoder) -> None:
    pixels = _pixels(1, 16, 16, 3)
    assert torch.equal(vae.encode(pixels), vae.encode(pixels))


def test_a_picture_that_fits_into_a_tile_is_the_same_in_tiles(vae: Autoencoder) -> None:
    latent, pixels = _latent(1, 4, 4, 4), _pixels(1, 32, 32, 3)
    torch.testing.assert_close(vae.decode_tiled(latent), vae.decode(latent), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(vae.encode_tiled(pixels), vae.encode(pixels), rtol=1e-5, atol=1e-5)


class Scale:
    """A network of local functions, so that tiles must give the whole; it runs out of memory beyond a size."""

    def __init__(self, network: KL, limit: int) -> None:
        self.spec, self._limit = network.spec, limit
        self.parameters = network.parameters

    def encode(self, pixels: Tensor) -> Tensor:
        self._check(pixels)
        return pixels[:, :1, ::8, ::8].expand(-1, 4, -1, -1)

    def decode(self, latent: Tensor) -> Tensor:
        self._check(latent)
        return latent[:, :3].repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)

    def _check(self, x: Tensor) -> None:
        if x.shape[-1] * x.shape[-2] > self._limit:
            raise torch.OutOfMemoryError(f"{list(x.shape)} does not fit")


@pytest.fixture
def tight(path: Path) -> Callable[[int], Autoencoder]:
    """`tight(limit)`: an autoencoder that has memory for so many places at once."""
    tensors = load_file(path)
    network = KL.from_tensors(kl_spec({name: tuple(tensor.shape) for name, tensor in tensors.items()}), tensors)

    def make(limit: int) -> Autoencoder:
        return Autoencoder(Scale(network, limit), device=CPU, dtype=torch.float32)  # type: ignore[arg-type]  # stands in

    return make


def test_a_latent_that_does_not_fit_is_decoded_in_tiles(tight: Callable[[int], Autoencoder]) -> None:
    latent = _latent(1, 4, 70, 90)
    torch.testing.assert_close(tight(64 * 64).decode(latent), tight(10**9).decode(latent))


def test_a_picture_that_does_not_fit_is_encoded_in_tiles(tight: Callable[[int], Autoencoder]) -> None:
    pixels = _pixels(1, 560, 704, 3)
    torch.testing.assert_close(tight(512 * 512).encode(pixels), tight(10**9).encode(pixels))


def test_out_of_memory_in_a_tile_ends_it(tight: Callable[[int], Autoencoder]) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        tight(10).decode(_latent(1, 4, 70, 90))


@pytest.mark.parametrize(
    ("name", "tensor", "fault"),
    [
        pytest.param("decoder.conv_in.weight", None, r"decoder\.conv_in\.weight", id="missing first"),
        pytest.param("encoder.mid.attn_1.q.bias", None, r"encoder\.mid\.attn_1\.q\.bias", id="missing inner"),
        pytest.param("encoder.down.0.block.0.conv1.weight", torch.zeros(33, 32, 3, 3), "33", id="odd width"),
        pytest.param("encoder.down.1.block.0.conv1.weight", torch.zeros(64, 64, 3, 3), "reads 64", id="broken flow"),
        pytest.param("quant_conv.weight", torch.zeros(8), r"shape \[8\]", id="too few axes"),
    ],
)
def test_a_vae_that_does_not_fit_together_is_corrupt(
    path: Path, tmp_path: Path, name: str, tensor: Tensor | None, fault: str
) -> None:
    tensors = load_file(path)
    del tensors[name]
    if tensor is not None:
        tensors[name] = tensor
    broken = tmp_path / "broken.safetensors"
    save_file(tensors, broken)
    with pytest.raises(ModelCorrupt, match=rf"broken\.safetensors.*{fault}"):
        load_vae(broken, device=CPU)


def test_the_vae_of_a_checkpoint_can_be_had_alone(mini_models: Path) -> None:
    vae = load_vae(mini_models / "checkpoints" / "sd1_mini.safetensors", device=CPU)
    assert vae.latent_channels == 4
    assert vae.downscale == 8


def test_a_vae_without_the_convolutions_at_the_latent_runs(path: Path, tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in load_file(path).items() if "quant_conv" not in name}
    bare = tmp_path / "bare.safetensors"
    save_file(tensors, bare)
    vae = load_vae(bare, device=CPU)
    assert vae.decode(vae.encode(_pixels(1, 16, 16, 3))).shape == (1, 16, 16, 3)


# A name in the layout of diffusers, and in that of the first implementation.
DIFFUSERS = {
    "encoder.conv_in.weight": "encoder.conv_in.weight",
    "encoder.down_blocks.1.resnets.0.conv_shortcut.bias": "encoder.down.1.block.0.nin_shortcut.bias",
    "encoder.down_blocks.0.downsamplers.0.conv.weight": "encoder.down.0.downsample.conv.weight",
    "encoder.mid_block.resnets.1.norm1.weight": "encoder.mid.block_2.norm1.weight",
    "encoder.mid_block.attentions.0.to_q.weight": "encoder.mid.attn_1.q.weight",
    "encoder.mid_block.attentions.0.group_norm.bias": "encoder.mid.attn_1.norm.bias",
    "decoder.mid_block.attentions.0.to_out.0.weight": "decoder.mid.attn_1.proj_out.weight",
    "decoder.mid_block.attentions.0.proj_attn.bias": "decoder.mid.attn_1.proj_out.bias",
    "decoder.up_blocks.0.resnets.2.conv2.weight": "decoder.up.3.block.2.conv2.weight",
    "decoder.up_blocks.0.upsamplers.0.conv.bias": "decoder.up.3.upsample.conv.bias",
    "decoder.up_blocks.3.resnets.0.norm2.weight": "decoder.up.0.block.0.norm2.weight",
    "decoder.conv_norm_out.weight": "decoder.norm_out.weight",
    "post_quant_conv.weight": "post_quant_conv.weight",
}


def test_the_names_of_diffusers_are_read_as_those_of_the_first_implementation() -> None:
    assert original_names(DIFFUSERS) == {original: name for name, original in DIFFUSERS.items()}


def test_other_names_are_left_as_they_are() -> None:
    assert original_names(DIFFUSERS.values()) == {name: name for name in DIFFUSERS.values()}


def _in_diffusers(name: str) -> str:
    """A name of the first implementation, in the layout of diffusers."""
    for pattern, replacement in (
        (r"down\.(\d)\.block\.(\d)", r"down_blocks.\1.resnets.\2"),
        (r"down\.(\d)\.downsample", r"down_blocks.\1.downsamplers.0"),
        (r"mid\.attn_1\.norm", "mid_block.attentions.0.group_norm"),
        (r"mid\.attn_1\.([qkv])\b", r"mid_block.attentions.0.to_\1"),
        (r"mid\.attn_1\.proj_out", "mid_block.attentions.0.to_out.0"),
        ("nin_shortcut", "conv_shortcut"),
        (r"coder\.norm_out", "coder.conv_norm_out"),
    ):
        name = re.sub(pattern, replacement, name)
    name = re.sub(r"mid\.block_(\d)", lambda match: f"mid_block.resnets.{int(match[1]) - 1}", name)
    name = re.sub(r"up\.(\d)\.block\.", lambda match: f"up_blocks.{3 - int(match[1])}.resnets.", name)
    return re.sub(r"up\.(\d)\.upsample", lambda match: f"up_blocks.{3 - int(match[1])}.upsamplers.0", name)


def test_a_vae_in_the_layout_of_diffusers_gives_the_same_pictures(vae: Autoencoder, path: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = {_in_diffusers(name): tensor for name, tensor in load_file(path).items()}
    linear = {name: t.flatten(1) if ".attentions.0.to_" in name and t.ndim == 4 else t for name, t in tensors.items()}
    save_file(linear, renamed)
    pixels = _pixels(1, 32, 32, 3)
    other = load_vae(renamed, device=CPU)
    assert torch.equal(other.encode(pixels), vae.encode(pixels))
    assert torch.equal(other.decode(vae.encode(pixels)), vae.decode(vae.encode(pixels)))
