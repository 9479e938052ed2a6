from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from runtime.errors import ModelCorrupt
from runtime.upscaling.upscaler import Upscaler, load_upscaler

CPU = torch.device("cpu")


@pytest.fixture
def esrgan(mini_models: Path) -> Path:
    return mini_models / "upscale_models" / "bsrgan_x2_mini.safetensors"


class Doubling(nn.Module):
    """Doubles a picture, and fails where it has more places a side than `fits`."""

    def __init__(self, fits: int = 10_000) -> None:
        super().__init__()
        self.fits = fits
        self.seen: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if max(height, width) > self.fits:
            raise torch.OutOfMemoryError("it does not fit")
        self.seen.append((height, width))
        return x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def test_a_picture_comes_back_on_the_scale_of_the_model(esrgan: Path) -> None:
    upscaler = load_upscaler(esrgan, device=CPU)
    with torch.inference_mode():
        made = upscaler.upscale(torch.rand(2, 5, 9, 3))
    assert made.shape == (2, 10, 18, 3)
    assert made.dtype == torch.float32
    assert 0.0 <= made.min() <= made.max() <= 1.0


@pytest.mark.parametrize("key", ["state_dict", "params_ema", "params"])
def test_a_training_checkpoint_holds_the_model_under_a_name(esrgan: Path, tmp_path: Path, key: str) -> None:
    path = tmp_path / "model.pth"
    torch.save({key: load_file(esrgan), "iteration": 7}, path)
    pictures = torch.rand(1, 4, 4, 3)
    with torch.inference_mode():
        ours, theirs = (load_upscaler(file, device=CPU).upscale(pictures) for file in (path, esrgan))
    assert torch.equal(ours, theirs)


def test_averaged_weights_go_before_the_last_ones(esrgan: Path, tmp_path: Path) -> None:
    averaged = load_file(esrgan)
    path = tmp_path / "model.pth"
    torch.save({"params": {name: tensor * 0 for name, tensor in averaged.items()}, "params_ema": averaged}, path)
    with torch.inference_mode():
        assert load_upscaler(path, device=CPU).upscale(torch.rand(1, 4, 4, 3)).std() > 0


def test_a_file_that_is_no_upscale_model_is_refused_by_name(mini_models: Path) -> None:
    path = mini_models / "vae" / "vae_mini.safetensors"
    with pytest.raises(ModelCorrupt, match=r"vae_mini\.safetensors: no upscale model of a known architecture"):
        load_upscaler(path, device=CPU)


def test_a_tensor_of_another_shape_is_refused_by_its_name(esrgan: Path, tmp_path: Path) -> None:
    tensors = load_file(esrgan)
    tensors["RRDB_trunk.1.RDB2.conv3.weight"] = torch.zeros(32, 5, 3, 3)
    path = tmp_path / "model.pth"
    torch.save(tensors, path)
    with pytest.raises(ModelCorrupt, match=r"model\.pth: the tensor RRDB_trunk\.1\.RDB2\.conv3\.weight has the shape"):
        load_upscaler(path, device=CPU)


def test_tiles_get_smaller_until_they_fit() -> None:
    network = Doubling(fits=256)
    pictures = torch.rand(1, 20, 600, 3)
    made = Upscaler(network, scale=2, device=CPU).upscale(pictures)
    assert torch.allclose(made, pictures.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2))
    assert max(width for _, width in network.seen) == 256


def test_memory_that_does_not_suffice_for_the_smallest_tile_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        Upscaler(Doubling(fits=100), scale=2, device=CPU).upscale(torch.rand(1, 600, 600, 3))


@pytest.mark.parametrize(("width", "tiles"), [(512, 1), (513, 2), (992, 2), (993, 3)])
def test_every_tile_is_told_of(width: int, tiles: int) -> None:
    told: list[tuple[int, int]] = []
    pictures = torch.rand(2, 8, width, 3)
    Upscaler(Doubling(), scale=2, device=CPU).upscale(pictures, on_tile=lambda done, total: told.append((done, total)))
    assert told == [(done, 2 * tiles) for done in range(1, 2 * tiles + 1)]


def test_a_copy_on_a_device_makes_the_same_picture(esrgan: Path) -> None:
    upscaler = load_upscaler(esrgan, device=CPU)
    copy, pictures = upscaler.on(CPU), torch.rand(1, 6, 6, 3)
    assert copy.size_bytes == upscaler.size_bytes > 0
    with torch.inference_mode():
        assert torch.equal(copy.upscale(pictures), upscaler.upscale(pictures))


def test_what_the_caller_raises_ends_it() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyError(done)

    at_tile: Callable[[int, int], None] = stop
    with pytest.raises(KeyError):
        Upscaler(Doubling(), scale=2, device=CPU).upscale(torch.rand(1, 8, 600, 3), on_tile=at_tile)
