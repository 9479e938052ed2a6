from __future__ import annotations

import io
import json
from typing import Any

import pytest
import torch
from PIL import Image

from runtime.errors import InputRejected, NodeFailed


@pytest.fixture
def within(bench: Any) -> Any:
    """Runs `act(context)` inside a node, and answers what it returned."""

    def run(act: Any, **of_run: Any) -> Any:
        bench.add("Act", lambda context: bench.shown.append(act(context)), hidden={"context": "CONTEXT"}, output=True)
        bench.run({"7": ("Act", {})}, **of_run)
        return bench.shown[-1]

    return run


def test_saved_pictures_go_to_the_sink_as_8_bit_pixels_rounded_down(bench: Any, within: Any) -> None:
    images = torch.tensor([-0.5, 0.0, 0.4999, 0.999, 1.0, 7.0]).reshape(1, 1, 2, 3)
    within(lambda context: context.save_images(images, "cat"))
    (picture,) = bench.sink.pictures
    assert picture.pixels.reshape(-1).tolist() == [0, 0, 127, 254, 255, 255]


def test_saving_leaves_the_nodes_own_values_as_they_are(within: Any) -> None:
    images = torch.full((1, 2, 2, 3), 2.0)
    within(lambda context: context.save_images(images, "cat"))
    assert images.max() == 2.0


def test_each_picture_of_a_node_has_its_own_place(bench: Any, within: Any) -> None:
    images = torch.zeros(2, 2, 2, 3)
    within(lambda context: [context.save_images(images, "a"), context.save_images(images, "b")])
    assert [(p.node_id, p.index, p.filename_prefix) for p in bench.sink.pictures] == [
        ("7", 0, "a"), ("7", 1, "a"), ("7", 2, "b"), ("7", 3, "b"),
    ]  # fmt: skip


def test_a_node_is_told_the_names_in_comfyuis_form(within: Any) -> None:
    entries = within(lambda context: context.save_images(torch.zeros(1, 2, 2, 3), "cat", temporary=True))
    assert entries == [{"filename": "cat_0.png", "subfolder": "sub", "type": "temp"}]


def test_a_saved_file_goes_to_the_sink(bench: Any, within: Any) -> None:
    within(lambda context: context.save_file(b"data", "latents/x", ".latent", kind="latent"))
    (file,) = bench.sink.files
    assert (file.node_id, file.index, file.data, file.suffix, file.kind) == ("7", 0, b"data", ".latent", "latent")


def test_a_saved_picture_carries_the_workflow_and_what_came_beside_it(within: Any) -> None:
    text = within(lambda context: dict(context.png_text), extra_pnginfo={"workflow": {"nodes": []}})
    assert {name: json.loads(value) for name, value in text.items()} == {
        "prompt": {"7": {"class_type": "Act", "inputs": {}}},
        "workflow": {"nodes": []},
    }


def test_the_api_key_is_in_no_picture(within: Any) -> None:
    assert "k3y" not in str(within(lambda context: dict(context.png_text), api_key_comfy_org="k3y"))


def test_a_node_finds_the_jobs_input_files(bench: Any, within: Any) -> None:
    bench.files.new_input("a.png").write_bytes(b"cat")
    assert within(lambda context: context.input_path("a.png").read_bytes()) == b"cat"


def test_a_file_outside_of_the_job_is_refused(bench: Any, within: Any) -> None:
    with pytest.raises(InputRejected):
        within(lambda context: context.input_path("../../etc/passwd"))


def test_a_step_is_progress_of_its_node(bench: Any, within: Any) -> None:
    within(lambda context: context.step(3, 20))
    last = bench.progress[-1]
    assert (last.node_id, last.class_type, last.step, last.steps, last.nodes_total) == ("7", "Act", 3, 20, 1)


def test_a_step_carries_a_preview_where_the_job_asks_for_them(bench: Any, within: Any) -> None:
    within(lambda context: context.step(3, 20, lambda: torch.ones(4, 6, 3)), previews=True)
    preview = bench.progress[-1].preview
    picture = Image.open(io.BytesIO(preview.data))
    assert (picture.format, picture.size, picture.getpixel((2, 2))) == ("JPEG", (6, 4), (255, 255, 255))


def test_a_picture_that_nobody_asks_for_is_not_made(bench: Any, within: Any) -> None:
    made: list[int] = []

    def picture() -> torch.Tensor:
        made.append(1)
        return torch.ones(4, 6, 3)

    within(lambda context: context.step(3, 20, picture))
    assert (made, bench.progress[-1].preview) == ([], None)


def test_pictures_without_pixels_are_refused_by_node(within: Any) -> None:
    with pytest.raises(NodeFailed, match=r"Act \(node 7\) is given pictures of \(1, 8, 0, 3\)"):
        within(lambda context: context.save_images(torch.zeros(1, 8, 0, 3), "cat"))
