"""The measure of a picture, held against pictures of which everything is known."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from PIL import Image, ImageFilter

from scripts.train_demo.evaluate import Verdict, cases, judge, shares
from scripts.train_demo.grade import look
from scripts.train_demo.render import render
from scripts.train_demo.world import SHAPES, Scene, Thing, random_scene

CIRCLE = Thing(shape="circle", colour="red", x=34, y=64, radius=25)
STAR = Thing(shape="star", colour="yellow", x=94, y=64, radius=25)
BOTH = Scene(background="blue", things=(CIRCLE, STAR), relation="left of")
ALONE = Scene(background="blue", things=(replace(CIRCLE, x=64.0),))


def test_everything_is_right_in_a_picture_of_what_was_asked_for() -> None:
    verdicts = [judge(case.scene, look(render(case.scene))) for case in cases(60, seed=1)]
    assert shares(verdicts) == dict.fromkeys(("colour", "shape", "place", "relation", "everything"), 1.0)


def test_everything_is_right_in_a_picture_that_is_a_little_soft() -> None:
    for case in cases(20, seed=2):
        soft = render(case.scene).filter(ImageFilter.GaussianBlur(1.0))
        assert judge(case.scene, look(soft)).everything, case.prompt


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [128, 256])
def test_each_shape_is_told_from_the_others_at_any_size(shape: str, size: int) -> None:
    scene = Scene(background="white", things=(replace(CIRCLE, shape=shape),))
    assert [thing.shape for thing in look(render(scene, size=size)).things] == [shape]


@pytest.mark.parametrize(
    ("drawn", "wrong"),
    [
        (replace(BOTH, background="green"), {"colour"}),
        (replace(BOTH, things=(replace(CIRCLE, colour="orange"), STAR)), {"colour", "relation"}),
        (replace(BOTH, things=(replace(CIRCLE, shape="ring"), STAR)), {"shape", "relation"}),
        (replace(BOTH, things=(replace(CIRCLE, x=94.0), replace(STAR, x=34.0))), {"relation"}),
        (replace(BOTH, things=(replace(CIRCLE, x=64.0, y=34.0), replace(STAR, x=64.0, y=94.0))), {"relation"}),
        (replace(BOTH, things=(replace(CIRCLE, colour="yellow"), replace(STAR, colour="red"))), {"relation"}),
        (replace(BOTH, things=(CIRCLE,)), {"colour", "shape", "relation"}),
    ],
    ids=["ground", "colour", "shape", "swapped", "another axis", "colours swapped", "one missing"],
)
def test_what_is_wrong_is_found(drawn: Scene, wrong: set[str]) -> None:
    verdict = judge(BOTH, look(render(drawn)))
    assert {name for name in ("colour", "shape", "relation") if not getattr(verdict, name)} == wrong


def test_a_thing_that_stands_elsewhere_is_out_of_place() -> None:
    moved = replace(ALONE, things=(replace(ALONE.things[0], x=90.0),))
    assert judge(ALONE, look(render(moved))) == Verdict(colour=True, shape=True, place=False, relation=None)


def test_an_outline_of_no_shape_has_none() -> None:
    picture = render(ALONE)
    picture.paste((222, 45, 48), (64, 40, 120, 50))  # a bar out of the circle
    assert [thing.shape for thing in look(picture).things] == [None]


def test_specks_are_counted_and_are_no_things() -> None:
    picture = render(ALONE)
    picture.paste((252, 218, 56), (10, 10, 16, 16))
    seen = look(picture)
    assert (len(seen.things), seen.specks) == (1, 1)


def test_an_empty_picture_shows_its_ground_alone() -> None:
    seen = look(Image.new("RGB", (128, 128), (40, 98, 222)))
    assert (seen.background, seen.things, seen.specks) == ("blue", (), 0)


def test_prompts_are_of_held_out_scenes_only() -> None:
    asked = cases(40, seed=3)
    assert all(case.scene.is_held_out for case in asked)
    assert {case.scene.relation is None for case in asked} == {True, False}


def test_what_is_trained_on_is_never_asked() -> None:
    rng = random.Random(4)
    trained = {random_scene(rng, held_out=False) for _ in range(500)}
    assert trained.isdisjoint(case.scene for case in cases(200, seed=4))
