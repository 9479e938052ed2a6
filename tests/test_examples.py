"""The examples, run as a user runs them, and what their pictures show."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.build import build
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.worker import Worker
from scripts.train_demo.grade import Seen, look

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

Run = Callable[..., list[Image.Image]]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker on the models that ship with the repository, as `./scripts/run` has it."""
    folder = tmp_path_factory.mktemp("data")
    settings = Settings.from_env(
        {"STORAGE_BASE_PATH": str(folder), "INPUT_PATH": str(EXAMPLES / "input"), "DEVICE": "cpu"}
    )
    worker = build(settings)
    yield worker
    worker.close()


@pytest.fixture
def run(worker: Worker) -> Run:
    """`run("batch.json", **overrides)`: the pictures of an example."""

    def pictures(name: str, **overrides: Any) -> list[Image.Image]:
        graph = json.loads((EXAMPLES / name).read_text())
        wire = {"workflow": graph, "overrides": overrides, "output": {"delivery": "base64"}}
        request, _ = JobRequest.parse(wire)
        result = worker.run(request)
        assert result.status == "completed", result.to_wire()
        return [Image.open(io.BytesIO(base64.b64decode(output.data or ""))) for output in result.outputs]

    return pictures


def colours_in_the_middle_and_at_the_rim(picture: Image.Image) -> tuple[str, str]:
    seen = look(picture)
    middle = [thing.colour for thing in seen.things if abs(thing.x - 64) < 16 and abs(thing.y - 64) < 16]
    return (middle[0] if middle else seen.background), seen.background


def shown(seen: Seen) -> list[str]:
    """The things of a picture from left to right."""
    return [f"{thing.colour} {thing.shape}" for thing in sorted(seen.things, key=lambda thing: thing.x)]


def test_text_to_image_draws_what_it_says(run: Run) -> None:
    (picture,) = run("text_to_image.json")
    assert picture.size == (128, 128)
    assert colours_in_the_middle_and_at_the_rim(picture) == ("red", "blue")
    assert shown(look(picture)) == ["red circle"]


def test_another_prompt_draws_another_picture(run: Run) -> None:
    (picture,) = run("text_to_image.json", **{"positive.text": "a large green square on a white background"})
    assert colours_in_the_middle_and_at_the_rim(picture) == ("green", "white")
    assert shown(look(picture)) == ["green square"]


def test_a_relation_is_drawn_as_it_is_told(run: Run) -> None:
    prompt = "a green star to the left of a red heart on a white background"
    (picture,) = run("text_to_image.json", **{"positive.text": prompt})
    assert shown(look(picture)) == ["green star", "red heart"]


def test_a_negative_prompt_keeps_a_colour_out_of_open_prompts(run: Run) -> None:
    open_prompt = {"positive.text": "a large heart on a white background", "latent.batch_size": 8}
    colours = [colours_in_the_middle_and_at_the_rim(each)[0] for each in run("text_to_image.json", **open_prompt)]
    assert "red" in colours
    without = run("text_to_image.json", **open_prompt, **{"negative.text": "red"})
    assert "red" not in {colours_in_the_middle_and_at_the_rim(each)[0] for each in without}


def test_image_to_image_changes_the_colour_and_keeps_the_shape(run: Run) -> None:
    (picture,) = run("image_to_image.json")
    seen = look(picture)
    assert (seen.background, shown(seen)) == ("blue", ["yellow circle"])


def test_inpainting_changes_what_is_under_the_mask_alone(run: Run) -> None:
    (picture,) = run("inpainting.json")
    assert shown(look(picture)) == ["red circle", "green heart"]


def test_hires_fix_draws_the_same_twice_as_large(run: Run) -> None:
    (picture,) = run("hires_fix.json")
    seen = look(picture)
    assert picture.size == (256, 256)
    assert (seen.background, shown(seen)) == ("purple", ["yellow star"])


def test_a_batch_draws_as_many_pictures_as_it_says(run: Run) -> None:
    pictures = run("batch.json")
    assert [[thing.shape for thing in look(picture).things] for picture in pictures] == [["heart"]] * 4


def test_an_area_composition_draws_each_prompt_in_its_area(run: Run) -> None:
    (picture,) = run("area_composition.json")
    assert picture.size == (256, 128)
    halves = [picture.crop((left, 0, left + 128, 128)) for left in (0, 128)]
    assert [shown(look(half)) for half in halves] == [["red heart"], ["blue star"]]


def test_every_example_has_a_test() -> None:
    tested = set(re.findall(r'run\("(\w+\.json)"', Path(__file__).read_text()))
    assert tested == {path.name for path in EXAMPLES.glob("*.json")}
