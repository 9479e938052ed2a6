"""Cases on a GPU that is pretended: nothing mixes it up with the CPU, and nothing waits for it at every step."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from scripts.parity.case_file import Case, read_cases
from scripts.parity.compare import differences
from scripts.parity.pretended_gpu import PretendedGpu, pretended_gpu

RunCase = Callable[[Case], Mapping[str, Any]]

CASES = {case.name: case for case in read_cases()}
AT_ONCE = {
    "conditioning_mask_batch",
    "conditioning_mask_bounds",
    "lora_sdxl_stacked",
    "model_sampling_lcm",
    "sd1_area_combine",
    "sd1_hires_fix",
    "sd1_inpaint_conditioning_masked",
    "sd1_noise_mask",
    "sd1_sampler_dpm_fast",
    "sd1_sampler_dpmpp_2m_sde_gpu",
    "sd1_sampler_er_sde",
    "sd1_sampler_sa_solver_pece",
    "sd1_sampler_uni_pc",
    "sdxl_base_and_refiner",
    "vae_decode_tiled_tiles",
    "vae_encode_tiled_tiles",
}
"""What runs always; the other cases run with the slow tests."""

IN_HALF = ["sd1_size_32x24", "sdxl_ztsnr_rectangle_cfg_1"]
HALFS_SHARE = 0.02  # of the largest value: what float16 in the UNet and bfloat16 in the autoencoder change


@pytest.fixture
def gpu() -> Iterator[PretendedGpu]:
    with pretended_gpu() as pretended:
        yield pretended


@pytest.fixture(scope="module")
def in_full(runner_on: Callable[..., RunCase]) -> RunCase:
    with pretended_gpu():
        return runner_on("cuda", dtype="float32")


@pytest.fixture(scope="module")
def in_half(runner_on: Callable[..., RunCase]) -> RunCase:
    with pretended_gpu():
        return runner_on("cuda")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in AT_ONCE else pytest.mark.slow) for name in CASES]
)
@pytest.mark.usefixtures("gpu")
def test_a_graph_on_the_gpu_gives_what_comfyui_gives(name: str, in_full: RunCase) -> None:
    assert differences(CASES[name], in_full(CASES[name])) == []


@pytest.mark.parametrize("name", IN_HALF)
@pytest.mark.usefixtures("gpu")
def test_half_precision_comes_near(name: str, in_half: RunCase) -> None:
    kept = in_half(CASES[name])
    with np.load(CASES[name].expected) as expected:
        for label in fnmatch.filter(expected.files, "latent*"):
            np.testing.assert_allclose(kept[label], expected[label], rtol=0, atol=HALFS_SHARE * expected[label].max())


@pytest.mark.parametrize("name", ["sd1_sampler_dpmpp_2m_sde", "sd1_sampler_uni_pc"])
def test_no_step_waits_for_the_gpu(name: str, in_full: RunCase, gpu: PretendedGpu) -> None:
    in_full(CASES[name])
    steps = next(node["inputs"]["steps"] for node in CASES[name].workflow.values() if "steps" in node["inputs"])
    in_sampler = len(gpu.waits) - gpu.waits.count("cpu")
    assert in_sampler <= 1 < steps


def test_two_devices_in_one_operation_are_refused(gpu: PretendedGpu) -> None:
    there, here = torch.ones(2, device="cuda"), torch.ones(2)
    for mixed in (lambda: torch.cat((there, here)), lambda: there * here, lambda: here.add_(there)):
        with pytest.raises(RuntimeError, match="on one device"):
            mixed()
    assert torch.equal((there * torch.tensor(3.0)).cpu(), 3 * here)


@pytest.mark.usefixtures("gpu")
def test_numpy_and_another_devices_generator_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expected \.cpu\(\)"):
        torch.ones(2, device="cuda").numpy()
    with pytest.raises(RuntimeError, match="expected a generator of cuda:0"):
        torch.randn(2, device="cuda", generator=torch.Generator())


def test_a_move_copies_and_a_view_does_not(gpu: PretendedGpu) -> None:
    here = torch.zeros(2)
    there = here.to("cuda:0")
    there[:1].add_(1)
    back = there.cpu()
    there.zero_()
    assert (here.tolist(), back.tolist(), gpu.waits) == ([0, 0], [1, 0], ["cpu"])
