"""Resizing of pictures and latents with ComfyUI's methods, crops and roundings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

SHARED_METHODS = ("nearest-exact", "bilinear", "area", "bicubic")
IMAGE_METHODS = (*SHARED_METHODS, "lanczos")
LATENT_METHODS = (*SHARED_METHODS, "bislerp")
CROPS = ("disabled", "center")
_PARALLEL = 1e-5  # how near to 1 a cosine counts as the same direction, or to -1 as the opposite one


def resize(planes: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """`planes` (B, C, h, w) as (B, C, height, width); crop "center" first cuts them to the new shape's proportions."""
    from runtime.diffusion.cropping import cut_to_aspect

    source = cut_to_aspect(planes, width, height) if crop == "center" else planes
    if method == "bislerp":
        return _bislerp(source, width, height)
    if method == "lanczos":
        return _lanczos(source, width, height)
    return F.interpolate(source, size=(height, width), mode=method)


def resize_image(image: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """`image` (B, h, w, C) as (B, height, width, C)."""
    return resize(image.movedim(-1, 1), width, height, method, crop).movedim(1, -1)


def _lanczos(planes: Tensor, width: int, height: int) -> Tensor:
    """Pillow's Lanczos filter, on 8-bit levels as ComfyUI applies it."""
    import numpy as np
    from PIL import Image

    levels = (planes.movedim(1, -1) * 255.0).clamp(0, 255).to(torch.uint8).cpu().numpy()
    resized = [Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS) for picture in levels]
    stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in resized]))
    return (stacked.float() / 255.0).movedim(-1, 1).to(planes.device, planes.dtype)


def _bislerp(planes: Tensor, width: int, height: int) -> Tensor:
    """Bilinear in place, spherical in value: neighbours (C,) are joined along their great circle, lengths linearly.

    A linear mean of two latents is shorter than either and decodes to a blurred picture.
    """
    wide = _slerp_along(planes.float(), -1, width)
    return _slerp_along(wide, -2, height).to(planes.dtype)


def _slerp_along(planes: Tensor, axis: int, length: int) -> Tensor:
    """`planes` (B, C, h, w) resampled to `length` positions along `axis` (-1 or -2)."""
    old = planes.shape[axis]
    position = (torch.arange(length, device=planes.device, dtype=torch.float32) + 0.5) * (old / length) - 0.5
    position = position.clamp(0, old - 1)
    low = position.long()
    ratio = (position - low).reshape((1, 1, 1, -1) if axis == -1 else (1, 1, -1, 1))
    high = (low + 1).clamp(max=old - 1)
    return _slerp(planes.index_select(axis, low), planes.index_select(axis, high), ratio)


def _slerp(first: Tensor, second: Tensor, ratio: Tensor) -> Tensor:
    """From `first` to `second` (B, C, h, w) by `ratio` 0..1 along a great circle of their C channels.

    Shoemake, Animating rotation with quaternion curves, 1985. Where the two point the same way it is `first`, where
    they point opposite ways the straight line between them.
    """
    first_length = first.norm(dim=1, keepdim=True)
    second_length = second.norm(dim=1, keepdim=True)
    start, end = _direction(first, first_length), _direction(second, second_length)
    cosine = (start * end).sum(dim=1, keepdim=True)
    angle = torch.acos(cosine)
    arc = (torch.sin((1.0 - ratio) * angle) * start + torch.sin(ratio * angle) * end) / torch.sin(angle)
    curved = arc * (first_length * (1.0 - ratio) + second_length * ratio)
    straight = first * (1.0 - ratio) + second * ratio
    curved = torch.where(cosine > 1 - _PARALLEL, first, curved)
    return torch.where(cosine < _PARALLEL - 1, straight, curved)


def _direction(vectors: Tensor, lengths: Tensor) -> Tensor:
    return torch.where(lengths == 0.0, 0.0, vectors / lengths)
