"""The device check: a sound device passes, a broken or missing one is named with what was found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runtime import fitness
from runtime.fitness import UnfitDevice, check_device
from scripts.parity.pretended_gpu import pretended_gpu

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a usable GPU")


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_a_cpu_passes_where_there_is_no_gpu(name: str, tmp_path: Path) -> None:
    check_device(name, dev=tmp_path)


@WITHOUT_GPU
def test_a_gpu_that_torch_cannot_use_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(UnfitDevice, match=r"the machine has nvidia0, but torch .* expected a driver"):
        check_device("auto", dev=tmp_path)


@WITHOUT_GPU
def test_a_gpu_that_was_asked_for_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitDevice, match="cuda:1 was asked for and the machine has no GPU"):
        check_device("cuda:1", dev=tmp_path)


def test_the_cpu_is_taken_where_it_was_asked_for_beside_a_broken_gpu(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    check_device("cpu", dev=tmp_path)


def test_a_device_that_multiplies_wrong_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def one_bit_off(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        product = torch.mm(left, right)
        product[17, 3] += 1
        return product

    monkeypatch.setattr(torch.Tensor, "__matmul__", one_bit_off)
    with pytest.raises(UnfitDevice, match=r"cpu computed 1 of 16384 values of a torch.float32 matrix product wrong"):
        check_device("cpu", dev=tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_expected_product_is_exact_in_every_dtype_that_a_gpu_is_checked_in(dtype: torch.dtype) -> None:
    fitness._check_product(torch.device("cpu"), dtype, size=256)


def test_a_sound_gpu_passes_and_one_with_too_little_memory_free_is_refused(tmp_path: Path) -> None:
    with pretended_gpu():
        check_device("auto", dev=tmp_path)
        with pytest.raises(UnfitDevice, match=r"cuda \(Pretended\) has 16384 MiB of 16384 MiB free: expected at least"):
            check_device("cuda", min_free_bytes=1 << 60)
