"""What a picture shows, measured: colours by their distance, things by connection, shapes by their outline.

No network looks at the picture, so that the measure shares no blind spot with what it measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from scripts.train_demo.render import render
from scripts.train_demo.world import COLOURS, PALETTE, SHAPES, SIZE, Scene, Thing

_RIM = 2  # pixels along the picture's sides that show its background
_STANDS_OUT = 60.0  # the distance in RGB from which a pixel is not of the background
_SMALLEST = 100  # pixels of a thing; less is a speck
_SPECK = 20  # pixels; less is noise
_TEMPLATE = 32  # pixels along each side of a shape's outline
_ALIKE = 0.75  # the overlap that two outlines of one shape have at least

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SeenThing:
    """A connected piece of the picture that is not background; no `shape` where its outline is of none."""

    colour: str
    shape: str | None
    x: float
    y: float
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A picture measured; `specks` counts pieces that are too small for a thing."""

    background: str
    things: tuple[SeenThing, ...]
    specks: int


def look(picture: Image.Image) -> Seen:
    """What `picture` shows, at any size from 64 pixels."""
    pixels: Floats = np.asarray(picture.convert("RGB"), dtype=np.float64)
    scale = picture.width / SIZE
    rim = np.concatenate([pixels[:_RIM].reshape(-1, 3), pixels[-_RIM:].reshape(-1, 3),
                          pixels[:, :_RIM].reshape(-1, 3), pixels[:, -_RIM:].reshape(-1, 3)])  # fmt: skip
    ground = np.median(rim, axis=0)
    stands_out = np.sqrt(((pixels - ground) ** 2).sum(axis=-1)) > _STANDS_OUT
    pieces = list(_pieces(stands_out))
    things = [_thing(pixels, piece) for piece in pieces if piece.sum() >= _SMALLEST * scale**2]
    specks = sum(_SPECK * scale**2 <= piece.sum() < _SMALLEST * scale**2 for piece in pieces)
    return Seen(background=_colour(ground), things=tuple(things), specks=specks)


def _pieces(mask: Mask) -> Iterator[Mask]:
    """The 4-connected pieces of `mask`."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        spread = labels.copy()
        for axis in (0, 1):
            for step in (1, -1):
                spread = np.maximum(spread, _shifted(labels, axis, step))
        spread = np.where(mask, spread, 0)
        if (spread == labels).all():
            break
        labels = spread
    for label in np.unique(labels[mask]):
        yield labels == label


def _shifted(labels: npt.NDArray[np.int64], axis: int, step: int) -> npt.NDArray[np.int64]:
    """`labels` moved by one place, zeros coming in."""
    moved = np.roll(labels, step, axis=axis)
    border = 0 if step == 1 else -1
    moved[(slice(None),) * axis + (border,)] = 0
    return moved


def _thing(pixels: Floats, piece: Mask) -> SeenThing:
    rows, columns = np.nonzero(piece)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return SeenThing(
        colour=_colour(np.median(pixels[piece], axis=0)),
        shape=_shape(_outline(piece[top:bottom, left:right])),
        x=(left + right) / 2,
        y=(top + bottom) / 2,
        width=int(right - left),
        height=int(bottom - top),
    )


def _colour(value: Floats) -> str:
    """The colour of the palette that is nearest to `value` (R, G, B)."""
    return min(COLOURS, key=lambda name: float(((value - np.array(PALETTE[name])) ** 2).sum()))


def _outline(piece: Mask) -> Floats:
    """A piece cut to its bounds, as shares of the places of a square table (32, 32)."""
    picture = Image.fromarray(piece.astype(np.uint8) * 255).resize((_TEMPLATE, _TEMPLATE), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64) / 255


def _shape(outline: Floats) -> str | None:
    overlaps = {shape: _overlap(outline, template) for shape, template in _templates().items()}
    best = max(overlaps, key=lambda shape: overlaps[shape])
    return best if overlaps[best] >= _ALIKE else None


def _overlap(one: Floats, other: Floats) -> float:
    """The intersection over the union of two tables of shares."""
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


@cache
def _templates() -> Mapping[str, Floats]:
    """Each shape's outline, from a large picture of it alone."""
    templates = {}
    for shape in SHAPES:
        thing = Thing(shape=shape, colour="white", x=SIZE / 2, y=SIZE / 2, radius=0.45 * SIZE)
        pixels = np.asarray(render(Scene(background="black", things=(thing,))).convert("L"))
        mask = pixels > 128
        rows, columns = np.nonzero(mask)
        templates[shape] = _outline(mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    return templates
