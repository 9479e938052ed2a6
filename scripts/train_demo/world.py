"""The small world that the demo checkpoint draws: coloured shapes, their sizes and places, on coloured grounds."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SIZE = 128  # pixels along each side of a picture

Colour = tuple[int, int, int]

PALETTE: Mapping[str, Colour] = MappingProxyType(
    {
        "red": (222, 45, 48),
        "orange": (250, 134, 28),
        "yellow": (252, 218, 56),
        "green": (52, 166, 83),
        "blue": (40, 98, 222),
        "purple": (126, 58, 178),
        "white": (248, 248, 244),
        "black": (28, 28, 34),
    }
)
COLOURS = tuple(PALETTE)
SHAPES = ("circle", "square", "triangle", "star", "heart", "ring")
RADII: Mapping[str, float] = MappingProxyType({"small": 20.0, "medium": 28.0, "large": 42.0})
PLACES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "centre": (0, 0),
        "left": (-1, 0),
        "right": (1, 0),
        "top": (0, -1),
        "bottom": (0, 1),
        "top left": (-1, -1),
        "top right": (1, -1),
        "bottom left": (-1, 1),
        "bottom right": (1, 1),
    }
)
RELATIONS = ("left of", "right of", "above", "below")
_DIRECTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
)
_MARGIN = 4.0  # pixels between a shape and the rim
_RADIUS_OF_TWO = 25.0
_APART = 30.0  # pixels from the middle of the picture to that of either of two things
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A shape: its colour, its middle and its radius in pixels."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a picture shows, and the words that are true of it.

    `size` and `place` are of a single thing; `relation` is how the first of two things stands to the second.
    """

    background: str
    things: tuple[Thing, ...]
    size: str = "medium"
    place: str = "centre"
    relation: str | None = None

    @property
    def is_held_out(self) -> bool:
        """Whether this combination of shapes and colours is kept from training, by a hash of it."""
        words = [self.background, *(f"{thing.colour} {thing.shape}" for thing in self.things)]
        digest = hashlib.sha256("|".join(words).encode()).digest()
        return int.from_bytes(digest[:4], "big") < _HELD_OUT_SHARE * 2**32


def random_scene(rng: random.Random, *, held_out: bool) -> Scene:
    """A scene from among those that training sees, or from among those that are held out."""
    while True:
        scene = _two_things(rng) if rng.random() < 0.45 else _one_thing(rng)
        if scene.is_held_out == held_out:
            return scene


def scene_of_one(rng: random.Random, *, held_out: bool) -> Scene:
    """As `random_scene`, with a single thing."""
    return next(scene for scene in iter(lambda: _one_thing(rng), None) if scene.is_held_out == held_out)


def scene_of_two(rng: random.Random, *, held_out: bool) -> Scene:
    """As `random_scene`, with two things."""
    return next(scene for scene in iter(lambda: _two_things(rng), None) if scene.is_held_out == held_out)


def _one_thing(rng: random.Random) -> Scene:
    background, colour = rng.sample(COLOURS, 2)
    place = "centre" if rng.random() < 0.5 else rng.choice(tuple(PLACES))
    size = rng.choice(tuple(RADII) if place == "centre" else ("small", "medium"))
    radius = RADII[size]
    x, y = (SIZE / 2 + direction * (SIZE / 2 - _MARGIN - radius) for direction in PLACES[place])
    thing = Thing(shape=rng.choice(SHAPES), colour=colour, x=x, y=y, radius=radius)
    return Scene(background=background, things=(thing,), size=size, place=place)


def _two_things(rng: random.Random) -> Scene:
    background, first_colour, second_colour = rng.sample(COLOURS, 3)
    relation = rng.choice(RELATIONS)
    across, down = _DIRECTIONS[relation]
    things = tuple(
        Thing(
            shape=rng.choice(SHAPES),
            colour=colour,
            x=SIZE / 2 + side * across * _APART,
            y=SIZE / 2 + side * down * _APART,
            radius=_RADIUS_OF_TWO,
        )
        for colour, side in ((first_colour, 1), (second_colour, -1))
    )
    return Scene(background=background, things=things, relation=relation)
