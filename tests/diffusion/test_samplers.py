"""Every sampler against models whose answer is known in closed form, and against what ComfyUI's own makes of them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.prediction import Prediction
from runtime.diffusion.samplers.adams import uneven_step_weights
from runtime.diffusion.samplers.dpm_solver import StepSizeController
from runtime.diffusion.samplers.er_sde import reverse_time_noise
from runtime.diffusion.samplers.lagrange import lagrange_integrals
from runtime.diffusion.samplers.table import SAMPLER_NAMES, sampler_by_name
from runtime.diffusion.samplers.walk import Walk, ancestral_split
from runtime.diffusion.schedules import karras_sigmas
from runtime.errors import Cancelled, InvalidRequest

# The first value, one in the middle and the standard deviation of what ComfyUI 0.3.64's samplers make of `Guided`.
COMFYUI = {
    "euler": (3.410372, 3.637321, 0.130955),
    "euler_cfg_pp": (4.079819, 4.604077, 0.422143),
    "euler_ancestral": (3.650690, 3.731496, 0.049823),
    "euler_ancestral_cfg_pp": (3.732738, 3.837980, 0.067834),
    "heun": (3.405543, 3.468191, 0.037643),
    "heunpp2": (3.416162, 3.637428, 0.123606),
    "dpm_2": (3.432672, 3.516408, 0.052703),
    "dpm_2_ancestral": (3.229492, 3.223072, 0.044795),
    "lms": (3.431248, 3.606804, 0.103546),
    "dpm_fast": (3.355969, 4.432348, 0.322448),
    "dpm_adaptive": (3.222504, 3.888242, 0.285190),
    "dpmpp_2s_ancestral": (3.501751, 3.526454, 0.020532),
    "dpmpp_2s_ancestral_cfg_pp": (3.538726, 3.570391, 0.025322),
    "dpmpp_sde": (3.522258, 3.555797, 0.038476),
    "dpmpp_sde_gpu": (3.522258, 3.555797, 0.038476),
    "dpmpp_2m": (3.451330, 3.591409, 0.074892),
    "dpmpp_2m_cfg_pp": (10.131852, 10.966289, 0.829161),
    "dpmpp_2m_sde": (3.549940, 3.628752, 0.058159),
    "dpmpp_2m_sde_gpu": (3.549940, 3.628752, 0.058159),
    "dpmpp_2m_sde_heun": (3.529736, 3.639141, 0.059925),
    "dpmpp_2m_sde_heun_gpu": (3.529736, 3.639141, 0.059925),
    "dpmpp_3m_sde": (3.412264, 3.517045, 0.060957),
    "dpmpp_3m_sde_gpu": (3.412264, 3.517045, 0.060957),
    "ddpm": (3.650690, 3.731496, 0.049823),
    "lcm": (3.643190, 3.694996, 0.041854),
    "ipndm": (3.466795, 3.517174, 0.079458),
    "ipndm_v": (3.453101, 3.561769, 0.083151),
    "deis": (3.442753, 3.602283, 0.094172),
    "res_multistep": (3.459249, 3.582778, 0.065627),
    "res_multistep_cfg_pp": (3.040098, 3.692110, 0.437119),
    "res_multistep_ancestral": (3.594013, 3.591911, 0.059539),
    "res_multistep_ancestral_cfg_pp": (1.640197, 2.787275, 1.254754),
    "gradient_estimation": (3.466495, 3.539828, 0.070183),
    "gradient_estimation_cfg_pp": (3.575164, 3.892897, 0.240107),
    "er_sde": (3.494277, 3.665670, 0.096037),
    "seeds_2": (3.522627, 3.509750, 0.038934),
    "seeds_3": (3.485179, 3.513310, 0.025124),
    "sa_solver": (3.702087, 3.702917, 0.071472),
    "sa_solver_pece": (3.560715, 3.576942, 0.041736),
    "ddim": (3.410372, 3.637321, 0.130955),
    "uni_pc": (3.507071, 3.530715, 0.045114),
    "uni_pc_bh2": (3.481426, 3.569998, 0.061786),
}

# How fast the error of a deterministic sampler falls: by 2^order where the steps are halved. Multistep methods begin,
# and UniPC also ends, with steps of lower order.
ORDERS = {
    "euler": 1,
    "euler_cfg_pp": 1,
    "heunpp2": 1,
    "gradient_estimation": 1,
    "gradient_estimation_cfg_pp": 1,
    "ipndm_v": 1,
    "heun": 2,
    "dpm_2": 2,
    "dpmpp_2m": 2,
    "dpmpp_2m_cfg_pp": 2,
    "res_multistep": 2,
    "res_multistep_cfg_pp": 2,
    "ipndm": 2,
    "uni_pc": 2,
    "uni_pc_bh2": 2,
    "deis": 3,
    "lms": 3,
}
# All that add noise, but for one: it adds guidance as seen at two noise levels, which is no flow's direction.
STOCHASTIC = sorted(
    name
    for name in SAMPLER_NAMES
    if any(mark in name for mark in ("ancestral", "sde", "seeds", "ddpm", "sa_solver"))
    and name != "dpmpp_2s_ancestral_cfg_pp"
)
MEAN, SPREAD = 0.7, 0.4


class Gaussian:
    """The ideal denoiser of data spread normally around MEAN: it and the flow's end are known in closed form."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return (SPREAD**2 * x + MEAN * sigma**2) / (SPREAD**2 + sigma**2)

    def with_negative(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self(x, sigma), self(x, sigma)

    @staticmethod
    def flow(x: Tensor, sigma: Tensor, sigma_end: Tensor) -> Tensor:
        return MEAN + (x - MEAN) * ((SPREAD**2 + sigma_end**2) / (SPREAD**2 + sigma**2)) ** 0.5


class Guided:
    """A bent model under guidance of 3."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.with_negative(x, sigma)[0]

    def with_negative(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        positive = (x * 0.5 + sigma**2) / (0.5 + sigma**2) + 0.3 * torch.sin(x / (1 + sigma))
        negative = (x * 0.5 - 0.5 * sigma**2) / (0.5 + sigma**2)
        return negative + (positive - negative) * 3.0, negative


def walk(sigmas: Tensor, denoise: Any, on_step: Callable[[int, Tensor], None] = lambda index, x0: None) -> Walk:
    return Walk(denoise=denoise, prediction=Prediction(), sigmas=sigmas, seed=7, on_step=on_step)


def test_the_samplers_stand_in_comfyuis_order() -> None:
    assert tuple(COMFYUI) == SAMPLER_NAMES


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_sampler_gives_what_comfyuis_does(name: str) -> None:
    x = torch.linspace(-20, 20, 64).reshape(1, 4, 4, 4)
    got = sampler_by_name(name).run(walk(karras_sigmas(6, sigma_min=0.1, sigma_max=10.0), Guided()), x)
    summary = torch.stack([got[0, 0, 0, 0], got[0, 1, 2, 3], got.std()])
    torch.testing.assert_close(summary, torch.tensor(COMFYUI[name]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "order"), ORDERS.items(), ids=str)
def test_a_deterministic_sampler_converges_to_the_flow_with_its_order(name: str, order: int) -> None:
    x, errors = torch.tensor([[[[9.0, -7.0]]]], dtype=torch.float64), []
    for steps in (40, 80):
        sigmas = karras_sigmas(steps + 1, sigma_min=0.5, sigma_max=10.0)[:-1].double()
        got = sampler_by_name(name).run(walk(sigmas, Gaussian()), x)
        errors.append(float((got - Gaussian.flow(x, sigmas[0], sigmas[-1])).abs().max()))
    assert errors[0] / errors[1] > 2 ** (order - 0.4)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_stochastic_sampler_draws_from_the_models_distribution(name: str) -> None:
    sigmas = karras_sigmas(60, sigma_min=0.02, sigma_max=10.0)
    x = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    got = sampler_by_name(name).run(walk(sigmas, Gaussian()), x)
    assert abs(float(got.mean()) - MEAN) < 0.03
    assert abs(float(got.std()) / SPREAD - 1) < 0.08


@pytest.mark.parametrize("name", sorted({*SAMPLER_NAMES} - {"dpm_fast", "dpm_adaptive"}))
def test_each_step_is_reported_once_and_in_order(name: str) -> None:
    seen: list[int] = []
    run = walk(karras_sigmas(5, sigma_min=0.1, sigma_max=10.0), Guided(), lambda index, x0: seen.append(index))
    sampler_by_name(name).run(run, torch.ones(1, 4, 4, 4))
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["dpm_fast", "dpm_adaptive"])
def test_a_sampler_with_steps_of_its_own_reports_within_the_total(name: str) -> None:
    seen: list[int] = []
    run = walk(karras_sigmas(5, sigma_min=0.1, sigma_max=10.0), Guided(), lambda index, x0: seen.append(index))
    sampler_by_name(name).run(run, torch.ones(1, 4, 4, 4))
    assert seen == sorted(seen)
    assert set(seen) <= set(range(5))


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_what_a_report_raises_ends_the_run_at_once(name: str) -> None:
    reports: list[int] = []

    def cancel(index: int, denoised: Tensor) -> None:
        reports.append(index)
        raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        sampler_by_name(name).run(
            walk(karras_sigmas(5, sigma_min=0.1, sigma_max=10.0), Guided(), cancel), torch.ones(1, 4, 4, 4)
        )
    assert reports == [0]


@pytest.mark.parametrize("name", SAMPLER_NAMES)
@pytest.mark.parametrize("levels", [[3.0], [3.0, 0.0], [3.0, 1.0]], ids=["no step", "to zero", "not to zero"])
def test_the_shortest_walks_end_in_finite_latents(name: str, levels: list[float]) -> None:
    got = sampler_by_name(name).run(walk(torch.tensor(levels), Guided()), torch.ones(1, 4, 2, 2))
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("name", [name for name in SAMPLER_NAMES if name not in ("uni_pc", "uni_pc_bh2", "dpm_fast")])
def test_one_step_to_zero_gives_what_the_model_sees(name: str) -> None:
    x, sigma = torch.tensor([[[[2.0, -1.0]]]]), torch.tensor(3.0)
    got = sampler_by_name(name).run(walk(torch.tensor([3.0, 0.0]), Guided()), x)
    expected = x if name == "dpm_adaptive" else Guided()(x, sigma)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", ["euler_ancestral", "dpm_2_ancestral", "res_multistep_ancestral"])
def test_an_ancestral_sampler_without_noise_is_the_plain_one(name: str) -> None:
    sigmas, x = karras_sigmas(5, sigma_min=0.1, sigma_max=10.0), torch.ones(1, 4, 2, 2)
    plain = sampler_by_name(name.removesuffix("_ancestral")).run(walk(sigmas, Guided()), x)
    torch.testing.assert_close(sampler_by_name(name, eta=0.0).run(walk(sigmas, Guided()), x), plain)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dpmpp_sde", {"eta": 0.0}),
        ("dpmpp_2m_sde", {"eta": 0.0}),
        ("dpmpp_3m_sde", {"s_noise": 0.0, "eta": 0.0}),
        ("er_sde", {"noise_scaler": reverse_time_noise(0.0), "s_noise": 0.0}),
        ("sa_solver", {"eta": 0.0}),
        ("sa_solver", {"eta": 0.0, "simple_order_2": True, "predictor_order": 2, "corrector_order": 2}),
        ("dpm_fast", {}),
        ("dpm_adaptive", {"rtol": 1e-4, "atol": 1e-4}),
        ("dpm_adaptive", {"rtol": 1e-4, "atol": 1e-4, "order": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_solver_without_noise_follows_the_flow(name: str, options: dict[str, Any]) -> None:
    x = torch.tensor([[[[9.0, -7.0]]]], dtype=torch.float64)
    sigmas = karras_sigmas(41, sigma_min=0.05, sigma_max=10.0).double()
    got = sampler_by_name(name, **options).run(walk(sigmas, Gaussian()), x)
    torch.testing.assert_close(got, Gaussian.flow(x, sigmas[0], sigmas[-1]), rtol=0, atol=0.02)


def test_an_adaptive_walk_with_noise_draws_from_the_models_distribution() -> None:
    sigmas = karras_sigmas(10, sigma_min=0.02, sigma_max=10.0)
    x = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    got = sampler_by_name("dpm_adaptive", eta=1.0, rtol=0.01, atol=0.001).run(walk(sigmas, Gaussian()), x)
    assert abs(float(got.mean()) - MEAN) < 0.03
    assert abs(float(got.std()) / SPREAD - 1) < 0.08


def test_a_rejected_step_is_tried_again_shorter() -> None:
    controller = StepSizeController(h=0.5, p=0.0, i=1.0, d=0.0, order=3, accept_safety=0.81)
    assert not controller.accepts(8.0)
    assert controller.h < 0.5
    assert controller.accepts(0.5)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 5.0])
def test_the_parts_of_an_ancestral_step_add_up_to_the_next_level(eta: float) -> None:
    down, up = ancestral_split(torch.tensor(3.0), torch.tensor(2.0), eta)
    torch.testing.assert_close(down**2 + up**2, torch.tensor(4.0))
    assert up <= 2


def test_the_integral_of_a_node_polynomial_is_exact() -> None:
    weights = lagrange_integrals([1.0, 2.0, 4.0], 4.0, 5.0)
    parabola = sum(weight * node**2 for weight, node in zip(weights, [1.0, 2.0, 4.0], strict=True))
    assert parabola == pytest.approx((5.0**3 - 4.0**3) / 3, rel=1e-12)


@pytest.mark.parametrize(
    "expected",
    [(1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12)],
    ids=["first", "second", "third"],
)
def test_uneven_step_weights_on_even_steps_are_adams_bashforths(expected: tuple[float, ...]) -> None:
    assert uneven_step_weights([1.0] * len(expected)) == pytest.approx(expected, rel=1e-12)


def test_an_unknown_sampler_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"'eular' is unknown.*euler_ancestral"):
        sampler_by_name("eular")
