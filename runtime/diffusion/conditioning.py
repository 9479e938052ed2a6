"""ComfyUI's CONDITIONING made ready for one latent: what the model reads, and where, when and how much it counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.diffusion.area import Area
from runtime.diffusion.inpaint import inpaint_channels
from runtime.diffusion.model import DiffusionModel

if TYPE_CHECKING:
    from runtime.diffusion.control import Control

Conditioning = Sequence[Sequence[Any]]

_LATENT_PIXEL = 8  # in pixels of the picture
_ADM_OPTIONS = ("width", "height", "crop_w", "crop_h", "target_width", "target_height", "aesthetic_score")
_NEGATIVE_SCORE = 2.5


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One entry of a conditioning.

    The model reads `context` (b, T, D), `y` (b, adm channels) and `concat` (B, 5, h, w). It counts in `area`, or
    everywhere, by `strength` and by `mask` (b, h, w), while sigma lies between `end_sigma` and `start_sigma`.
    """

    context: Tensor
    y: Tensor | None = None
    concat: Tensor | None = None
    area: Area | None = None
    mask: Tensor | None = None
    strength: float = 1.0
    start_sigma: float = math.inf
    end_sigma: float = 0.0
    control: Control | None = None
    lends_control: bool = False
    """Whether the other side's prompts that have no control are under this one's too."""

    def is_active(self, sigma: float) -> bool:
        """Whether the prompt counts at the noise level `sigma`."""
        return self.end_sigma <= sigma <= self.start_sigma

    def weight(self, like: Tensor) -> Tensor:
        """How much it counts in its part of a latent `like` (B, C, h, w): (B or 1, 1, rows, columns).

        An area without a mask counts less toward its edges, so that it blends into what lies around it.
        """
        height, width = like.shape[-2:]
        if self.mask is not None:
            mask = self.mask if self.area is None else self.area.of(self.mask)
            return for_batch(mask, len(like)).unsqueeze(1).to(like) * self.strength
        if self.area is not None:
            return self.area.feathered(height, width)[None, None].to(like) * self.strength
        return like.new_full((1, 1, height, width), self.strength)


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """What every prompt of a run is laid onto, in the UNet's space and on its device.

    `noise` and `latent` are (B, C, h, w), `noise_mask` (B, 1, h, w) is 1 where the latent shall change.
    """

    noise: Tensor
    latent: Tensor
    noise_mask: Tensor | None


def prepared(conditioning: Conditioning, *, model: DiffusionModel, canvas: Canvas, negative: bool) -> list[Prompt]:
    """The prompts of a CONDITIONING for `model`, on its device. The refiner scores a `negative` one lower."""
    return [_prompt(context, options, model, canvas, negative) for context, options in conditioning]


def _prompt(
    context: Tensor, options: Mapping[str, Any], model: DiffusionModel, canvas: Canvas, negative: bool
) -> Prompt:
    height, width = canvas.noise.shape[-2:]
    mask = _mask(options, height, width, model.device)
    return Prompt(
        context=context.to(model.device, model.dtype),
        y=_adm(options, model, canvas, negative),
        concat=_concat(options, model, canvas),
        area=_area(options, mask, height, width),
        mask=mask,
        strength=float(options.get("strength", 1.0)),
        start_sigma=_sigma_at(options, "start_percent", model, math.inf),
        end_sigma=_sigma_at(options, "end_percent", model, 0.0),
        control=options.get("control"),
        lends_control=bool(options.get("control_apply_to_uncond", False)),
    )


def _adm(options: Mapping[str, Any], model: DiffusionModel, canvas: Canvas, negative: bool) -> Tensor | None:
    height, width = canvas.noise.shape[-2:]
    numbers: dict[str, Any] = {"width": width * _LATENT_PIXEL, "height": height * _LATENT_PIXEL}
    if negative:
        numbers["aesthetic_score"] = _NEGATIVE_SCORE
    numbers |= {name: options[name] for name in _ADM_OPTIONS if name in options}
    return model.adm(pooled=options.get("pooled_output"), **numbers)


def _concat(options: Mapping[str, Any], model: DiffusionModel, canvas: Canvas) -> Tensor | None:
    """What an inpainting model reads: the conditioning's own mask and picture, or else those that are sampled."""
    if not model.family.facts.takes_concat:
        return None
    picture = options.get("concat_latent_image")
    return inpaint_channels(
        canvas.noise,
        mask=options.get("concat_mask", canvas.noise_mask),
        masked_latent=canvas.latent if picture is None else model.process_latent_in(picture),
    )


def _mask(options: Mapping[str, Any], height: int, width: int, device: torch.device) -> Tensor | None:
    """The conditioning's mask at the latent's size times its strength, (b, height, width)."""
    if options.get("mask") is None:
        return None
    mask: Tensor = options["mask"].to(device)
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    if mask.shape[-2:] != (height, width):
        mask = F.interpolate(mask, size=(height, width), mode="bilinear")
    return mask[:, 0] * float(options.get("mask_strength", 1.0))


def _area(options: Mapping[str, Any], mask: Tensor | None, height: int, width: int) -> Area | None:
    if mask is not None and options.get("set_area_to_bounds", False):
        return Area.around(mask)
    if options.get("area") is None:
        return None
    return Area.from_option(options["area"], height, width)


def _sigma_at(options: Mapping[str, Any], name: str, model: DiffusionModel, otherwise: float) -> float:
    return model.prediction.percent_to_sigma(options[name]) if name in options else otherwise


def with_counterparts(prompts: Sequence[Prompt], others: Sequence[Prompt]) -> list[Prompt]:
    """`prompts` and, for each of the `others` that has an area, one for the same area.

    Guidance compares what the two sides see: both have to see the same crop. The counterpart reads what the prompt
    with the smallest area around it reads, or else a prompt without an area.
    """
    grown = list(prompts)
    for other in others:
        source = None if other.area is None else _smallest_around(other.area, grown)
        if source is not None and source.area != other.area:
            grown.append(replace(other, context=source.context, y=source.y, concat=source.concat))
    return grown


def with_lent_controls(prompts: Sequence[Prompt], lenders: Sequence[Prompt]) -> list[Prompt]:
    """`prompts`, those without an area in turn under the controls of the `lenders` that lend theirs.

    Prompts of which one has a control of its own stay as they are.
    """
    controls = [
        lender.control
        for lender in lenders
        if lender.lends_control and lender.area is None and lender.control is not None
    ]
    borrowers = [index for index, prompt in enumerate(prompts) if prompt.area is None]
    if not borrowers or any(prompts[index].control is not None for index in borrowers):
        return list(prompts)
    lent = list(prompts)
    for number, control in enumerate(controls):  # of several for one prompt the last counts
        index = borrowers[number % len(borrowers)]
        lent[index] = replace(lent[index], control=control)
    return lent


def _smallest_around(area: Area, prompts: Sequence[Prompt]) -> Prompt | None:
    smallest, pixels = None, math.inf
    for prompt in prompts:
        if prompt.area is None:
            smallest = smallest or prompt
        elif area.within(prompt.area) and prompt.area.pixels < pixels:
            smallest, pixels = prompt, prompt.area.pixels
    return smallest


def for_batch(rows: Tensor, count: int) -> Tensor:
    """`rows` (b, ...) as (count, ...): the first of them, or all of them again and again."""
    if len(rows) == count:
        return rows
    return rows[[index % len(rows) for index in range(count)]]
