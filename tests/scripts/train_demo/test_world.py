"""The scenes that are drawn, and which of them training never sees."""

from __future__ import annotations

import random

import pytest

from scripts.train_demo.world import COLOURS, SHAPES, SIZE, random_scene


@pytest.mark.parametrize("held_out", [False, True])
def test_a_scene_comes_from_the_side_that_is_asked_for(held_out: bool) -> None:
    rng = random.Random(1)
    assert all(random_scene(rng, held_out=held_out).is_held_out == held_out for _ in range(100))


def test_things_lie_within_the_picture_and_differ_from_its_ground_and_each_other_in_colour() -> None:
    rng = random.Random(2)
    for scene in (random_scene(rng, held_out=False) for _ in range(300)):
        colours = [scene.background, *(thing.colour for thing in scene.things)]
        assert len(set(colours)) == len(colours)
        for thing in scene.things:
            assert all(thing.radius < place < SIZE - thing.radius for place in (thing.x, thing.y))


def test_every_shape_and_colour_comes_up() -> None:
    rng = random.Random(3)
    things = [thing for _ in range(400) for thing in random_scene(rng, held_out=False).things]
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.colour for thing in things} == set(COLOURS)


def test_a_seed_gives_its_scenes_again() -> None:
    assert random_scene(random.Random(4), held_out=False) == random_scene(random.Random(4), held_out=False)
