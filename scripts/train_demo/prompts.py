"""A scene in words: ordinary English sentences that say all of it, or a part."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

from scripts.train_demo.world import Scene, Thing

_EMPTY_SHARE = 0.1  # prompts that say nothing: what guidance compares with
_PARTIAL_SHARE = 0.12  # prompts that say a part: what makes a short prompt, or a negative one, mean something

SHAPE_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "circle": ("circle", "circle", "disc", "disk", "ball", "dot"),
        "square": ("square", "square", "box", "block"),
        "triangle": ("triangle",),
        "star": ("star",),
        "heart": ("heart",),
        "ring": ("ring", "ring", "donut", "hoop"),
    }
)
_COLOUR_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType({"purple": ("purple", "violet")})
_SIZE_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"small": ("small", "little", "tiny"), "medium": ("", "", "medium-sized"), "large": ("large", "big", "huge")}
)
_PLACE_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "centre": ("", "", "", "in the middle", "in the centre", "in the center"),
        "left": ("on the left", "on the left side", "at the left"),
        "right": ("on the right", "on the right side", "at the right"),
        "top": ("at the top", "at the top in the middle"),
        "bottom": ("at the bottom", "at the bottom in the middle"),
        "top left": ("in the top left corner", "at the top left", "in the upper left corner"),
        "top right": ("in the top right corner", "at the top right", "in the upper right corner"),
        "bottom left": ("in the bottom left corner", "at the bottom left", "in the lower left corner"),
        "bottom right": ("in the bottom right corner", "at the bottom right", "in the lower right corner"),
    }
)
_RELATION_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "left of": ("to the left of", "left of", "on the left of"),
        "right of": ("to the right of", "right of", "on the right of"),
        "above": ("above", "over", "on top of"),
        "below": ("below", "under", "beneath"),
    }
)
_OPENINGS = ("", "", "", "", "a picture of ", "a drawing of ", "an image of ", "a painting of ", "there is ", "draw ")
_ENDINGS = ("", "", "", "", "", ".", ", flat design", ", simple", ", minimalist", ", high quality")


def any_prompt(scene: Scene, rng: random.Random) -> str:
    """A prompt for training: most often a whole one, sometimes a part, sometimes nothing."""
    chance = rng.random()
    if chance < _EMPTY_SHARE:
        return ""
    if chance < _EMPTY_SHARE + _PARTIAL_SHARE:
        return partial_prompt(scene, rng)
    return whole_prompt(scene, rng)


def whole_prompt(scene: Scene, rng: random.Random) -> str:
    """A sentence from which the scene can be drawn."""
    what = _two(scene, rng) if scene.relation else _one(scene, rng)
    ground = _colour(scene.background, rng)
    form = rng.randrange(8)
    if form == 0:
        return f"{ground} background, {what}"
    if form == 1:
        return f"{what}, {ground} background"
    if form == 2:
        return f"{rng.choice(_OPENINGS)}{what} on {ground}"
    preposition = rng.choice(("on", "on", "on", "against", "in front of"))
    noun = rng.choice(("background", "background", "background", "backdrop"))
    return f"{rng.choice(_OPENINGS)}{what} {preposition} {_article(ground)} {noun}{rng.choice(_ENDINGS)}"


def partial_prompt(scene: Scene, rng: random.Random) -> str:
    """Words of which each is true of the scene, and which leave something open."""
    thing = rng.choice(scene.things)
    colour, noun = _colour(thing.colour, rng), rng.choice(SHAPE_WORDS[thing.shape])
    ground = _colour(scene.background, rng)
    return rng.choice(
        (
            colour,
            noun,
            f"{colour} {noun}",
            f"{_article(colour)} {noun}",
            _article(noun),
            f"{ground} background",
            f"{_article(ground)} background",
            f"{_article(noun)} on {_article(ground)} background",
        )
    )


def _one(scene: Scene, rng: random.Random) -> str:
    (thing,) = scene.things
    words = _noun_phrase(thing, rng, size=rng.choice(_SIZE_WORDS[scene.size]))
    place = rng.choice(_PLACE_WORDS[scene.place])
    return f"{words} {place}" if place else words


def _two(scene: Scene, rng: random.Random) -> str:
    first, second = (_noun_phrase(thing, rng) for thing in scene.things)
    if scene.relation in ("left of", "right of") and rng.random() < 0.08:
        return f"{first} {rng.choice(('and', 'next to', 'beside'))} {second}"
    assert scene.relation is not None
    return f"{first} {rng.choice(_RELATION_WORDS[scene.relation])} {second}"


def _noun_phrase(thing: Thing, rng: random.Random, *, size: str = "") -> str:
    words = [size, _colour(thing.colour, rng), rng.choice(SHAPE_WORDS[thing.shape])]
    return _article(" ".join(word for word in words if word))


def _colour(colour: str, rng: random.Random) -> str:
    return rng.choice(_COLOUR_WORDS.get(colour, (colour,)))


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
