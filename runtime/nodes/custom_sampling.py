"""The sampling nodes that are put together: noise, guider, sampler and sigmas each come from a node of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import Conditioning, InputTypes, Latent, flag, seed
from runtime.nodes.protocol import CONTEXT, NodeContext
from runtime.nodes.sampling import CFG
from runtime.nodes.step_report import step_report

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.guidance import Guider
    from runtime.diffusion.model import DiffusionModel
    from runtime.diffusion.noise import Noise
    from runtime.diffusion.sampling import Sampler

_CATEGORY = "sampling/custom_sampling"


class SamplerCustom:
    """A latent sampled along the given sigmas, and the clean latent seen in the last step."""

    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")
    FUNCTION = "sample"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "add_noise": flag(True),
                "noise_seed": seed(),
                "cfg": CFG,
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "sampler": ("SAMPLER",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        model: DiffusionModel,
        add_noise: bool,
        noise_seed: int,
        cfg: float,
        positive: Conditioning,
        negative: Conditioning,
        sampler: Sampler,
        sigmas: Tensor,
        latent_image: Latent,
        context: NodeContext,
    ) -> tuple[Latent, Latent]:
        from runtime.diffusion.guidance import CFGGuider
        from runtime.diffusion.noise import EmptyNoise, RandomNoise

        guider = CFGGuider(model, positive, negative, cfg)
        noise = RandomNoise(seed=noise_seed) if add_noise else EmptyNoise(seed=noise_seed)
        return _sampled(noise, guider, sampler, sigmas, latent_image, context)


class SamplerCustomAdvanced:
    """As SamplerCustom, with noise and guider from nodes."""

    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")
    FUNCTION = "sample"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "noise": ("NOISE",),
                "guider": ("GUIDER",),
                "sampler": ("SAMPLER",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self, noise: Noise, guider: Guider, sampler: Sampler, sigmas: Tensor, latent_image: Latent, context: NodeContext
    ) -> tuple[Latent, Latent]:
        return _sampled(noise, guider, sampler, sigmas, latent_image, context)


class BasicGuider:
    """Guidance by one prompt alone."""

    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get_guider"
    CATEGORY = f"{_CATEGORY}/guiders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"model": ("MODEL",), "conditioning": ("CONDITIONING",)}}

    def get_guider(self, model: DiffusionModel, conditioning: Conditioning) -> tuple[Guider]:
        from runtime.diffusion import guidance

        return (guidance.BasicGuider(model, conditioning),)


class CFGGuider:
    """Guidance towards one prompt and away from another (Ho and Salimans 2022, arXiv:2207.12598)."""

    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get_guider"
    CATEGORY = f"{_CATEGORY}/guiders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "cfg": CFG,
            }
        }

    def get_guider(
        self, model: DiffusionModel, positive: Conditioning, negative: Conditioning, cfg: float
    ) -> tuple[Guider]:
        from runtime.diffusion import guidance

        return (guidance.CFGGuider(model, positive, negative, cfg),)


class RandomNoise:
    """Noise from a seed."""

    RETURN_TYPES = ("NOISE",)
    FUNCTION = "get_noise"
    CATEGORY = f"{_CATEGORY}/noise"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"noise_seed": seed()}}

    def get_noise(self, noise_seed: int) -> tuple[Noise]:
        from runtime.diffusion import noise

        return (noise.RandomNoise(seed=noise_seed),)


class DisableNoise:
    """No noise, for a latent that holds its own."""

    RETURN_TYPES = ("NOISE",)
    FUNCTION = "get_noise"
    CATEGORY = f"{_CATEGORY}/noise"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {}}

    def get_noise(self) -> tuple[Noise]:
        from runtime.diffusion.noise import EmptyNoise

        return (EmptyNoise(),)


def _sampled(
    noise: Noise, guider: Guider, sampler: Sampler, sigmas: Tensor, latent: Latent, context: NodeContext
) -> tuple[Latent, Latent]:
    from runtime.diffusion.sampling import sample_latent

    return sample_latent(
        guider=guider,
        noise=noise,
        sampler=sampler,
        sigmas=sigmas,
        latent=latent,
        on_step=step_report(context, guider.model),
    )


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SamplerCustom": SamplerCustom,
    "SamplerCustomAdvanced": SamplerCustomAdvanced,
    "BasicGuider": BasicGuider,
    "CFGGuider": CFGGuider,
    "RandomNoise": RandomNoise,
    "DisableNoise": DisableNoise,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
