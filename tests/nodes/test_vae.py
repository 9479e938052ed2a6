from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.errors import NodeFailed

Call = Callable[..., Any]
Picture = Callable[..., Tensor]


class MeanVae:
    """An autoencoder whose latents are the means of 8 by 8 pixels, and that keeps what it was given."""

    def __init__(self) -> None:
        self.encoded: list[Tensor] = []
        self.tiles: list[dict[str, int]] = []

    def encode(self, pixels: Tensor) -> Tensor:
        self.encoded.append(pixels)
        return F.avg_pool2d(pixels[..., :3].movedim(-1, 1), 8)

    def decode(self, latent: Tensor) -> Tensor:
        return latent.repeat_interleave(8, -1).repeat_interleave(8, -2)[:, :3].movedim(1, -1)

    def encode_tiled(self, pixels: Tensor, **tiles: int) -> Tensor:
        self.tiles.append(tiles)
        return self.encode(pixels)

    def decode_tiled(self, latent: Tensor, **tiles: int) -> Tensor:
        self.tiles.append(tiles)
        return self.decode(latent)


@pytest.fixture
def vae() -> MeanVae:
    return MeanVae()


def test_a_picture_goes_to_a_latent_and_back(call: Call, vae: MeanVae) -> None:
    image = torch.rand(1, 2, 2, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)
    (latent,) = call("VAEEncode", pixels=image, vae=vae)
    assert latent["samples"].shape == (1, 3, 2, 2)
    torch.testing.assert_close(call("VAEDecode", samples=latent, vae=vae)[0], image)


@pytest.mark.parametrize("name", ["VAEEncodeTiled", "VAEDecodeTiled"])
def test_tiles_have_the_size_and_overlap_that_are_asked_for(name: str, call: Call, vae: MeanVae) -> None:
    given = (
        {"pixels": torch.zeros(1, 8, 8, 3)} if "Encode" in name else {"samples": {"samples": torch.zeros(1, 4, 1, 1)}}
    )
    call(name, vae=vae, tile_size=128, overlap=32, temporal_size=64, temporal_overlap=8, **given)
    assert vae.tiles == [{"tile_size": 128, "overlap": 32}]


def test_what_is_masked_is_encoded_as_grey(call: Call, vae: MeanVae, picture: Picture) -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, :8] = 0.7
    call("VAEEncodeForInpaint", pixels=picture(16, 16), vae=vae, mask=mask, grow_mask_by=0)
    assert torch.equal(vae.encoded[0][:, :8], torch.full((1, 8, 16, 3), 0.5))
    torch.testing.assert_close(vae.encoded[0][:, 8:], picture(16, 16)[:, 8:])


@pytest.mark.parametrize(("grow", "wide"), [(0, 1), (1, 1), (2, 2), (5, 5), (6, 6)])
def test_the_noise_mask_grows_by_a_square(grow: int, wide: int, call: Call, vae: MeanVae, picture: Picture) -> None:
    mask = torch.zeros(1, 16, 16)
    mask[0, 8, 8] = 1.0
    (latent,) = call("VAEEncodeForInpaint", pixels=picture(16, 16), vae=vae, mask=mask, grow_mask_by=grow)
    assert latent["noise_mask"].shape == (1, 1, 16, 16)
    assert latent["noise_mask"].sum() == wide * wide
    assert latent["noise_mask"][0, 0, 8, 8] == 1


def test_picture_and_mask_are_cut_alike_to_whole_steps(call: Call, vae: MeanVae, picture: Picture) -> None:
    (latent,) = call("VAEEncodeForInpaint", pixels=picture(19, 22), vae=vae, mask=torch.zeros(19, 22), grow_mask_by=6)
    torch.testing.assert_close(vae.encoded[0], picture(19, 22)[:, 1:17, 3:19])
    assert latent["noise_mask"].shape == (1, 1, 16, 16)


@pytest.mark.parametrize("noise_mask", [True, False])
def test_an_inpainting_model_is_told_mask_and_masked_picture(
    noise_mask: bool, call: Call, vae: MeanVae, picture: Picture
) -> None:
    positive, negative = [[torch.zeros(1), {"side": side}] for side in ("positive", "negative")]
    told_positive, told_negative, latent = call(
        "InpaintModelConditioning",
        positive=[positive],
        negative=[negative],
        vae=vae,
        pixels=picture(16, 16),
        mask=torch.ones(1, 16, 16),
        noise_mask=noise_mask,
    )
    assert [told_positive[0][1]["side"], told_negative[0][1]["side"]] == ["positive", "negative"]
    assert told_positive[0][1]["concat_latent_image"].unique().tolist() == [0.5]
    assert torch.equal(told_negative[0][1]["concat_mask"], torch.ones(1, 1, 16, 16))
    assert torch.equal(vae.encoded[1], picture(16, 16))
    assert ("noise_mask" in latent) is noise_mask


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("VAEDecode", {"samples": {}}),
        ("VAEEncode", {"pixels": None}),
        ("VAEEncodeForInpaint", {"pixels": None, "mask": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_checkpoint_without_a_vae_is_said_to_have_none(name: str, inputs: dict[str, Any], call: Call) -> None:
    with pytest.raises(NodeFailed, match=f"{name}: .* holds no VAE"):
        call(name, vae=None, **inputs)
