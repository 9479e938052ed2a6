"""The words for a scene."""

from __future__ import annotations

import random

from scripts.train_demo.prompts import any_prompt, whole_prompt
from scripts.train_demo.world import RELATIONS, Scene, Thing, random_scene

RED_HEART = Thing(shape="heart", colour="red", x=34, y=64, radius=25)
BLUE_STAR = Thing(shape="star", colour="blue", x=94, y=64, radius=25)


def test_a_whole_prompt_names_every_colour_and_shape() -> None:
    scene = Scene(background="white", things=(RED_HEART, BLUE_STAR), relation="left of")
    for seed in range(50):
        prompt = whole_prompt(scene, random.Random(seed))
        assert all(word in prompt for word in ("red heart", "blue star", "white")), prompt


def test_a_relation_is_told_from_the_first_thing_to_the_second() -> None:
    scene = Scene(background="white", things=(RED_HEART, BLUE_STAR), relation="left of")
    prompts = [whole_prompt(scene, random.Random(seed)) for seed in range(50)]
    assert all(prompt.index("heart") < prompt.index("star") for prompt in prompts)
    assert any("to the left of" in prompt for prompt in prompts)


def test_an_article_fits_the_word_behind_it() -> None:
    scene = Scene(background="orange", things=(BLUE_STAR,))
    prompts = [whole_prompt(scene, random.Random(seed)) for seed in range(100)]
    assert not any(" a orange" in prompt or "an blue" in prompt for prompt in prompts)


def test_some_prompts_for_training_are_empty_and_some_say_a_part() -> None:
    rng = random.Random(5)
    prompts = [any_prompt(random_scene(rng, held_out=False), rng) for _ in range(1000)]
    assert 70 <= prompts.count("") <= 130
    assert "red" in prompts or "blue" in prompts


def test_there_is_a_way_to_say_every_relation() -> None:
    for relation in RELATIONS:
        assert whole_prompt(
            Scene(background="white", things=(RED_HEART, BLUE_STAR), relation=relation), random.Random(6)
        )
