"""The node that chooses a sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import InputTypes, choice

if TYPE_CHECKING:
    from runtime.diffusion.sampling import Sampler


class KSamplerSelect:
    """A sampler by its name."""

    RETURN_TYPES = ("SAMPLER",)
    FUNCTION = "get_sampler"
    CATEGORY = "sampling/custom_sampling/samplers"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        from runtime.diffusion.sampling import SAMPLER_NAMES

        return {"required": {"sampler_name": choice(*SAMPLER_NAMES)}}

    def get_sampler(self, sampler_name: str) -> tuple[Sampler]:
        from runtime.diffusion.sampling import sampler_by_name

        return (sampler_by_name(sampler_name),)


NODE_CLASS_MAPPINGS: dict[str, type] = {"KSamplerSelect": KSamplerSelect}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
