"""Nodes that choose a sampler, or give one its options. The samplers stand in runtime.diffusion.samplers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.nodes.inputs import Declared, InputTypes, choice, decimal, integer
from runtime.nodes.resize import resize

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.model import DiffusionModel
    from runtime.diffusion.sampling import Sampler

_UPSCALE_METHODS = ("bislerp", "nearest-exact", "bilinear", "area", "bicubic")
_NOISE_DEVICES = ("gpu", "cpu")
_ODE = "ODE"
_ER_SDE = "ER-SDE"
_REVERSE_TIME = "Reverse-time SDE"


def _amount(default: float = 1.0, high: float = 100.0) -> Declared:
    return decimal(default, 0.0, high, 0.01, round=False)


def _noise() -> dict[str, Declared]:
    """`eta` is how much of the step's noise is new, `s_noise` scales what is drawn."""
    return {"eta": _amount(), "s_noise": _amount()}


def _sampler(name: str, **options: Any) -> tuple[Sampler]:
    from runtime.diffusion.sampling import sampler_by_name

    return (sampler_by_name(name, **options),)


class _SamplerNode:
    """A node that gives a sampler."""

    RETURN_TYPES = ("SAMPLER",)
    FUNCTION = "get_sampler"
    CATEGORY = "sampling/custom_sampling/samplers"


class KSamplerSelect(_SamplerNode):
    """A sampler by its name."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        from runtime.diffusion.sampling import SAMPLER_NAMES

        return {"required": {"sampler_name": choice(*SAMPLER_NAMES)}}

    def get_sampler(self, sampler_name: str) -> tuple[Sampler]:
        return _sampler(sampler_name)


class SamplerEulerAncestral(_SamplerNode):
    """Euler's method with noise put back after each step."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": _noise()}

    def get_sampler(self, eta: float, s_noise: float) -> tuple[Sampler]:
        return _sampler("euler_ancestral", eta=eta, s_noise=s_noise)


class SamplerEulerAncestralCFGPP(_SamplerNode):
    """The same, guided as CFG++ does (Chung et al. 2024, arXiv:2406.08070)."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"eta": _amount(high=1.0), "s_noise": _amount(high=10.0)}}

    def get_sampler(self, eta: float, s_noise: float) -> tuple[Sampler]:
        return _sampler("euler_ancestral_cfg_pp", eta=eta, s_noise=s_noise)


class SamplerEulerCFGpp(_SamplerNode):
    """Euler's method as CFG++ guides it, or "alternative": with a direction of its own (`euler_pp`)."""

    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"version": choice("regular", "alternative")}}

    def get_sampler(self, version: str) -> tuple[Sampler]:
        return _sampler("euler_cfg_pp" if version == "regular" else "euler_pp")


class SamplerLMS(_SamplerNode):
    """Linear multistep over up to `order` slopes."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"order": integer(4, 1, 100)}}

    def get_sampler(self, order: int) -> tuple[Sampler]:
        return _sampler("lms", order=order)


class SamplerDPMPP2SAncestral(_SamplerNode):
    """DPM-Solver++ of second order in single steps, with noise put back after each."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": _noise()}

    def get_sampler(self, eta: float, s_noise: float) -> tuple[Sampler]:
        return _sampler("dpmpp_2s_ancestral", eta=eta, s_noise=s_noise)


class SamplerDPMPPSDE(_SamplerNode):
    """The stochastic DPM-Solver++ in single steps, its inner point at the share `r` of a step."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {**_noise(), "r": _amount(0.5), "noise_device": choice(*_NOISE_DEVICES)}}

    def get_sampler(self, eta: float, s_noise: float, r: float, noise_device: str) -> tuple[Sampler]:
        return _sampler(_drawn_on(noise_device, "dpmpp_sde"), eta=eta, s_noise=s_noise, r=r)


class SamplerDPMPP2MSDE(_SamplerNode):
    """The stochastic DPM-Solver++, multistep of second order."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        solver = choice("midpoint", "heun")
        return {"required": {"solver_type": solver, **_noise(), "noise_device": choice(*_NOISE_DEVICES)}}

    def get_sampler(self, solver_type: str, eta: float, s_noise: float, noise_device: str) -> tuple[Sampler]:
        name = _drawn_on(noise_device, "dpmpp_2m_sde")
        return _sampler(name, eta=eta, s_noise=s_noise, solver_type=solver_type)


class SamplerDPMPP3MSDE(_SamplerNode):
    """The stochastic DPM-Solver++, multistep of third order."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {**_noise(), "noise_device": choice(*_NOISE_DEVICES)}}

    def get_sampler(self, eta: float, s_noise: float, noise_device: str) -> tuple[Sampler]:
        return _sampler(_drawn_on(noise_device, "dpmpp_3m_sde"), eta=eta, s_noise=s_noise)


class SamplerDPMAdaptative(_SamplerNode):
    """DPM-Solver with steps as long as the error allows (Lu et al. 2022, arXiv:2206.00927, appendix C)."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "order": integer(3, 2, 3),
                "rtol": _amount(0.05),
                "atol": _amount(0.0078),
                "h_init": _amount(0.05),
                "pcoeff": _amount(0.0),
                "icoeff": _amount(1.0),
                "dcoeff": _amount(0.0),
                "accept_safety": _amount(0.81),
                "eta": _amount(0.0),
                "s_noise": _amount(1.0),
            }
        }

    def get_sampler(self, **options: float) -> tuple[Sampler]:
        return _sampler("dpm_adaptive", **options)


class SamplerERSDE(_SamplerNode):
    """A solver of the extended reverse-time SDE (Cui et al. 2023, arXiv:2309.06169), or of another."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        solver = choice(_ER_SDE, _REVERSE_TIME, _ODE)
        return {"required": {"solver_type": solver, "max_stage": integer(3, 1, 3), **_noise()}}

    def get_sampler(self, solver_type: str, max_stage: int, eta: float, s_noise: float) -> tuple[Sampler]:
        from runtime.diffusion.samplers.er_sde import reverse_time_noise

        if solver_type == _ER_SDE:
            return _sampler("er_sde", s_noise=s_noise, max_stage=max_stage)
        if solver_type == _ODE or eta == 0:
            eta = s_noise = 0.0
        return _sampler("er_sde", s_noise=s_noise, max_stage=max_stage, noise_scaler=reverse_time_noise(eta))


class SamplerSASolver(_SamplerNode):
    """SA-Solver with noise between two shares of the model's way from noise to picture (arXiv:2309.05019)."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL", {}),
                "eta": _amount(high=10.0),
                "sde_start_percent": decimal(0.2, 0.0, 1.0, 0.001),
                "sde_end_percent": decimal(0.8, 0.0, 1.0, 0.001),
                "s_noise": _amount(),
                "predictor_order": integer(3, 1, 6),
                "corrector_order": integer(4, 0, 6),
                "use_pece": ("BOOLEAN", {}),
                "simple_order_2": ("BOOLEAN", {}),
            }
        }

    def get_sampler(self, model: DiffusionModel, **options: Any) -> tuple[Sampler]:
        return _sampler("sa_solver", percents_of=model.prediction, **options)


class SamplerLCMUpscale(_SamplerNode):
    """A consistency model's sampler that enlarges the latent on the way, by `scale_ratio` in `scale_steps` steps.

    -1 takes the first half of the steps for it.
    """

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "scale_ratio": decimal(1.0, 0.1, 20.0, 0.01),
                "scale_steps": integer(-1, -1, 1000, 1),
                "upscale_method": choice(*_UPSCALE_METHODS),
            }
        }

    def get_sampler(self, scale_ratio: float, scale_steps: int, upscale_method: str) -> tuple[Sampler]:
        def enlarge(x: Tensor, width: int, height: int) -> Tensor:
            return resize(x, width, height, upscale_method)

        steps = None if scale_steps < 0 else scale_steps
        return _sampler("lcm_upscale", ratio=scale_ratio, enlarging_steps=steps, enlarge=enlarge)


def _drawn_on(noise_device: str, name: str) -> str:
    return name if noise_device == "cpu" else f"{name}_gpu"


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "KSamplerSelect": KSamplerSelect,
    "SamplerEulerAncestral": SamplerEulerAncestral,
    "SamplerEulerAncestralCFGPP": SamplerEulerAncestralCFGPP,
    "SamplerEulerCFGpp": SamplerEulerCFGpp,
    "SamplerLMS": SamplerLMS,
    "SamplerDPMPP_2S_Ancestral": SamplerDPMPP2SAncestral,
    "SamplerDPMPP_SDE": SamplerDPMPPSDE,
    "SamplerDPMPP_2M_SDE": SamplerDPMPP2MSDE,
    "SamplerDPMPP_3M_SDE": SamplerDPMPP3MSDE,
    "SamplerDPMAdaptative": SamplerDPMAdaptative,
    "SamplerER_SDE": SamplerERSDE,
    "SamplerSASolver": SamplerSASolver,
    "SamplerLCMUpscale": SamplerLCMUpscale,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SamplerEulerAncestralCFGPP": "SamplerEulerAncestralCFG++",
    "SamplerEulerCFGpp": "SamplerEulerCFG++",
}
