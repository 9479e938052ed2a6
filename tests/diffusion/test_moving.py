from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from runtime.diffusion.checkpoint import Checkpoint, load_checkpoint
from runtime.diffusion.layers import size_bytes
from runtime.diffusion.moving import moved
from scripts.parity.pretended_gpu import device_of, pretended_gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu() -> Iterator[None]:
    with pretended_gpu():
        yield


@pytest.fixture(params=["sd1_mini", "sdxl_mini"])
def path(mini_models: Path, request: pytest.FixtureRequest) -> Path:
    return mini_models / "checkpoints" / f"{request.param}.safetensors"


def _weights(checkpoint: Checkpoint) -> list[torch.Tensor]:
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    modules: list[nn.Module] = [checkpoint.model.unet, *(tower.base for tower in checkpoint.clip._towers)]
    return [weight for module in (*modules, checkpoint.vae._network) for weight in module.parameters()]


def _are_equal(ours: Checkpoint, theirs: Checkpoint) -> bool:
    pairs = zip(_weights(ours), _weights(theirs), strict=True)
    return all(a.dtype == b.dtype and torch.equal(a.cpu(), b.cpu()) for a, b in pairs)


@pytest.mark.usefixtures("gpu")
def test_a_checkpoint_that_waited_in_ram_is_on_the_gpu_what_the_file_gives_there(path: Path) -> None:
    waiting = load_checkpoint(path, device=CPU, dtype=torch.float16, may_map=False)
    moved_up, direct = waiting.on(GPU), load_checkpoint(path, device=GPU)
    assert {device_of(weight).type for weight in _weights(moved_up)} == {"cuda"}
    assert _are_equal(moved_up, direct)


@pytest.mark.usefixtures("gpu")
def test_a_checkpoint_that_goes_down_and_comes_back_is_the_same(path: Path) -> None:
    before = load_checkpoint(path, device=GPU)
    down = before.on(CPU)
    assert {device_of(weight).type for weight in _weights(down)} == {"cpu"}
    assert _are_equal(down.on(GPU), before)


@pytest.mark.usefixtures("gpu")
def test_the_original_stays_where_it_is(path: Path) -> None:
    before = load_checkpoint(path, device=GPU)
    before.on(CPU)
    assert {device_of(weight).type for weight in _weights(before)} == {"cuda"}


def test_what_was_moved_computes_the_same(path: Path) -> None:
    checkpoint = load_checkpoint(path, device=CPU)
    assert checkpoint.clip is not None
    copy = checkpoint.on(CPU).clip
    assert copy is not None
    assert torch.equal(copy.encode("a cat")[0], checkpoint.clip.encode("a cat")[0])


def test_weights_that_two_layers_share_stay_shared_and_are_copied_once() -> None:
    layer = nn.Linear(64, 64, bias=False)
    both = nn.Sequential(layer, nn.Linear(64, 64, bias=False))
    both[1].weight = layer.weight
    copy = moved(both, CPU)
    assert copy[0].weight is copy[1].weight
    assert copy[0].weight.data_ptr() != layer.weight.data_ptr()
    assert size_bytes(copy) == size_bytes(both)


def test_the_copys_weights_are_one_piece_of_memory_in_the_dtype_that_is_asked_for() -> None:
    layers = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 7))
    copy = moved(layers, CPU, dtype=torch.float16)
    weights = list(copy.parameters())
    assert {weight.dtype for weight in weights} == {torch.float16}
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1
    assert all(weight.data_ptr() % 512 == 0 for weight in weights)
