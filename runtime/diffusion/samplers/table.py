"""Every sampler by ComfyUI's name, in ComfyUI's order, and what a SAMPLER link carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import Tensor

from runtime.diffusion.samplers.adams import ipndm, ipndm_v, lms
from runtime.diffusion.samplers.ddpm import ddpm, lcm, lcm_upscale
from runtime.diffusion.samplers.deis import deis
from runtime.diffusion.samplers.dpm_2 import dpm_2, dpm_2_ancestral
from runtime.diffusion.samplers.dpm_solver import dpm_adaptive, dpm_fast
from runtime.diffusion.samplers.dpmpp import dpmpp_2m, dpmpp_2m_cfg_pp, dpmpp_2s_ancestral, dpmpp_2s_ancestral_cfg_pp
from runtime.diffusion.samplers.dpmpp_sde import dpmpp_2m_sde, dpmpp_3m_sde, dpmpp_sde
from runtime.diffusion.samplers.er_sde import er_sde
from runtime.diffusion.samplers.euler import euler, euler_ancestral, euler_ancestral_cfg_pp, euler_cfg_pp, euler_pp
from runtime.diffusion.samplers.gradient_estimation import gradient_estimation, gradient_estimation_cfg_pp
from runtime.diffusion.samplers.heun import heun, heunpp2
from runtime.diffusion.samplers.res_multistep import (
    res_multistep,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
)
from runtime.diffusion.samplers.sa_solver import sa_solver, sa_solver_pece
from runtime.diffusion.samplers.seeds import seeds_2, seeds_3
from runtime.diffusion.samplers.uni_pc import uni_pc, uni_pc_bh2
from runtime.diffusion.samplers.walk import Walk
from runtime.errors import InvalidRequest

SamplerFunction = Callable[..., Tensor]

SAMPLERS: Mapping[str, SamplerFunction] = MappingProxyType(
    {
        "euler": euler,
        "euler_cfg_pp": euler_cfg_pp,
        "euler_ancestral": euler_ancestral,
        "euler_ancestral_cfg_pp": euler_ancestral_cfg_pp,
        "heun": heun,
        "heunpp2": heunpp2,
        "dpm_2": dpm_2,
        "dpm_2_ancestral": dpm_2_ancestral,
        "lms": lms,
        "dpm_fast": dpm_fast,
        "dpm_adaptive": dpm_adaptive,
        "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
        "dpmpp_2s_ancestral_cfg_pp": dpmpp_2s_ancestral_cfg_pp,
        "dpmpp_sde": dpmpp_sde,
        "dpmpp_sde_gpu": partial(dpmpp_sde, noise_on_cpu=False),
        "dpmpp_2m": dpmpp_2m,
        "dpmpp_2m_cfg_pp": dpmpp_2m_cfg_pp,
        "dpmpp_2m_sde": dpmpp_2m_sde,
        "dpmpp_2m_sde_gpu": partial(dpmpp_2m_sde, noise_on_cpu=False),
        "dpmpp_2m_sde_heun": partial(dpmpp_2m_sde, solver_type="heun"),
        "dpmpp_2m_sde_heun_gpu": partial(dpmpp_2m_sde, solver_type="heun", noise_on_cpu=False),
        "dpmpp_3m_sde": dpmpp_3m_sde,
        "dpmpp_3m_sde_gpu": partial(dpmpp_3m_sde, noise_on_cpu=False),
        "ddpm": ddpm,
        "lcm": lcm,
        "ipndm": ipndm,
        "ipndm_v": ipndm_v,
        "deis": deis,
        "res_multistep": res_multistep,
        "res_multistep_cfg_pp": res_multistep_cfg_pp,
        "res_multistep_ancestral": res_multistep_ancestral,
        "res_multistep_ancestral_cfg_pp": res_multistep_ancestral_cfg_pp,
        "gradient_estimation": gradient_estimation,
        "gradient_estimation_cfg_pp": gradient_estimation_cfg_pp,
        "er_sde": er_sde,
        "seeds_2": seeds_2,
        "seeds_3": seeds_3,
        "sa_solver": sa_solver,
        "sa_solver_pece": sa_solver_pece,
        "ddim": euler,
        "uni_pc": uni_pc,
        "uni_pc_bh2": uni_pc_bh2,
    }
)
SAMPLER_NAMES = tuple(SAMPLERS)

# Those that only a node of their own gives, by names that are nowhere but here.
_UNLISTED: Mapping[str, SamplerFunction] = MappingProxyType({"euler_pp": euler_pp, "lcm_upscale": lcm_upscale})

# KSampler gives these one more sigma and leaves out the last but one, near which their second evaluation is unstable.
DROP_PENULTIMATE_SIGMA = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A sampler with its options: the keyword arguments of its function."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self, walk: Walk, x: Tensor) -> Tensor:
        """Sample from `x` (B, C, h, w), noisy as the walk's first sigma says."""
        return (SAMPLERS.get(self.name) or _UNLISTED[self.name])(walk, x, **self.options)

    @property
    def redraws_masked_noise(self) -> bool:
        """Whether what a noise mask keeps is noised anew, by the next seed, and not with the latent's own noise."""
        return self.name == "ddim"


def sampler_by_name(name: str, **options: Any) -> Sampler:
    """The sampler that ComfyUI calls `name`, with its defaults but for `options`.

    Raises InvalidRequest for a name that is not in `SAMPLER_NAMES`.
    """
    if name not in SAMPLERS and name not in _UNLISTED:
        raise InvalidRequest(f"sampler {name!r} is unknown, expected one of {', '.join(SAMPLER_NAMES)}")
    return Sampler(name=name, options=options)
