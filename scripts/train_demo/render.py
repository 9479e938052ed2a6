"""A scene as a picture, by Pillow."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from scripts.train_demo.world import PALETTE, SIZE, Scene, Thing

_OVERSAMPLING = 3  # a shape's edge is the mean of so many pixels along each axis

Point = tuple[float, float]
Pixels = npt.NDArray[np.uint8]


def render(scene: Scene, *, size: int = SIZE) -> Image.Image:
    """The picture of `scene`, `size` pixels along each side, its edges smooth."""
    scale = size * _OVERSAMPLING / SIZE
    picture = Image.new("RGB", (size * _OVERSAMPLING, size * _OVERSAMPLING), PALETTE[scene.background])
    draw = ImageDraw.Draw(picture)
    for thing in scene.things:
        _draw(draw, thing, scale, PALETTE[scene.background])
    return picture.reduce(_OVERSAMPLING)


def tensor(scenes: Iterable[Scene]) -> Tensor:
    """Pictures of `scenes` as (B, 3, H, W) float32 in -1..1."""
    pixels = torch.from_numpy(np.stack([np.asarray(render(scene)) for scene in scenes]))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def picture(pixels: Tensor) -> Image.Image:
    """The picture of (3, H, W) in -1..1."""
    values = ((pixels.float().cpu().clamp(-1, 1) + 1.0) * 127.5).round().byte()
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def outline(shape: str) -> list[Point]:
    """The corners of `shape` around (0, 0), y downwards, within a radius of 1. Circle and ring have none."""
    match shape:
        case "square":
            return [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]
        case "triangle":
            return [(0.0, -0.95), (1.0, 0.78), (-1.0, 0.78)]
        case "diamond":
            return [(0.0, -1.0), (0.78, 0.0), (0.0, 1.0), (-0.78, 0.0)]
        case "star":
            turns = [(math.pi * corner / 5, 1.0 if corner % 2 == 0 else 0.44) for corner in range(10)]
            return [(reach * math.sin(angle), 0.06 - reach * math.cos(angle)) for angle, reach in turns]
        case "cross":
            return _cross(0.33, 0.95)
        case "heart":
            return [_heart(2 * math.pi * step / 72) for step in range(72)]
        case _:
            raise ValueError(f"{shape!r} has no corners")


def _cross(arm: float, reach: float) -> list[Point]:
    quarter = [(-arm, -reach), (arm, -reach), (arm, -arm)]
    corners = []
    for _ in range(4):
        corners += quarter
        quarter = [(-y, x) for x, y in quarter]
    return corners


def _heart(angle: float) -> Point:
    """A point of the curve x = 16 sin^3, y = 13 cos - 5 cos 2 - 2 cos 3 - cos 4, brought to the radius 1."""
    x = 16 * math.sin(angle) ** 3
    y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)
    return x / 16.5, -(y + 2.5) / 16.5


def _draw(draw: ImageDraw.ImageDraw, thing: Thing, scale: float, background: tuple[int, int, int]) -> None:
    x, y, radius = thing.x * scale, thing.y * scale, thing.radius * scale
    colour = PALETTE[thing.colour]
    if thing.shape in ("circle", "ring"):
        _disc(draw, x, y, radius * 0.95, colour)
        if thing.shape == "ring":
            _disc(draw, x, y, radius * 0.52, background)
    else:
        draw.polygon([(x + radius * across, y + radius * down) for across, down in outline(thing.shape)], fill=colour)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
