"""The sampling nodes that take everything at once: model, prompts, latent, seed, sampler and scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import Conditioning, Declared, InputTypes, Latent, choice, decimal, integer, seed
from runtime.nodes.protocol import CONTEXT, NodeContext
from runtime.nodes.step_report import step_report

if TYPE_CHECKING:
    from runtime.diffusion.model import DiffusionModel

STEPS = integer(20, 1, 10000)
CFG = decimal(8.0, 0.0, 100.0, 0.1, round=0.01)


class KSampler:
    """A latent noised to the share `denoise` of the schedule and denoised again."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "sample"
    CATEGORY = "sampling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "seed": seed(),
                "steps": STEPS,
                "cfg": CFG,
                **_methods(),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
                "denoise": decimal(1.0, 0.0, 1.0, 0.01),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        model: DiffusionModel,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        context: NodeContext,
        denoise: float = 1.0,
    ) -> tuple[Latent]:
        from runtime.diffusion.sampling import ksampler

        sampled = ksampler(
            model=model,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            latent=latent_image,
            denoise=denoise,
            on_step=step_report(context, model),
        )
        return (sampled,)


class KSamplerAdvanced:
    """A stretch of a sampling, from step to step, that may begin without noise and end before all of it is gone."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "sample"
    CATEGORY = "sampling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "add_noise": choice("enable", "disable"),
                "noise_seed": seed(),
                "steps": STEPS,
                "cfg": CFG,
                **_methods(),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
                "start_at_step": integer(0, 0, 10000),
                "end_at_step": integer(10000, 0, 10000),
                "return_with_leftover_noise": choice("disable", "enable"),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        model: DiffusionModel,
        add_noise: str,
        noise_seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: str,
        context: NodeContext,
    ) -> tuple[Latent]:
        from runtime.diffusion.sampling import ksampler

        sampled = ksampler(
            model=model,
            seed=noise_seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            latent=latent_image,
            disable_noise=add_noise == "disable",
            start_step=start_at_step,
            last_step=end_at_step,
            force_full_denoise=return_with_leftover_noise == "disable",
            on_step=step_report(context, model),
        )
        return (sampled,)


def _methods() -> dict[str, Declared]:
    from runtime.diffusion.sampling import SAMPLER_NAMES, SCHEDULER_NAMES

    return {"sampler_name": choice(*SAMPLER_NAMES), "scheduler": choice(*SCHEDULER_NAMES)}


NODE_CLASS_MAPPINGS: dict[str, type] = {"KSampler": KSampler, "KSamplerAdvanced": KSamplerAdvanced}
NODE_DISPLAY_NAME_MAPPINGS = {"KSampler": "KSampler", "KSamplerAdvanced": "KSampler (Advanced)"}
