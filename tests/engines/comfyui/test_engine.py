from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from runtime.engines.comfyui.engine import ComfyEngine
from runtime.progress import Progress
from runtime.result import JobResult

Run = Callable[..., JobResult]
RED = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0xFF0000}}


def graph(**nodes: Any) -> dict[str, Any]:
    return {"image": RED, **nodes}


def saving(prefix: str = "red", images: str = "image") -> dict[str, Any]:
    return {"class_type": "SaveImage", "inputs": {"images": [images, 0], "filename_prefix": prefix}}


def test_a_saved_picture_is_an_output_that_carries_its_graph(run: Run) -> None:
    result = run(graph(save=saving("sub/red")))
    assert (result.status, result.engine) == ("completed", "comfyui")
    (output,) = result.outputs
    assert (output.node_id, output.kind, output.filename, output.subfolder) == (
        "save",
        "image",
        "red_00001_.png",
        "sub",
    )
    picture = Image.open(io.BytesIO(base64.b64decode(output.data or "")))
    assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert '"class_type": "SaveImage"' in picture.info["prompt"]


def test_a_node_that_ran_is_cached_and_the_output_is_made_again(run: Run) -> None:
    run(graph(save=saving()))
    again = run(graph(save=saving()))
    assert again.cached_nodes == ("image",)
    assert [output.filename for output in again.outputs] == ["red_00001_.png"]


def test_progress_tells_the_nodes_one_by_one(run: Run) -> None:
    told: list[Progress] = []
    run(graph(invert={"class_type": "ImageInvert", "inputs": {"image": ["image", 0]}}, save=saving(images="invert")),
        on_progress=told.append)  # fmt: skip
    assert [progress.node_id for progress in told][-2:] == ["invert", "save"]
    assert all(progress.nodes_total == 3 for progress in told)


def test_a_package_that_does_not_import_is_named_in_the_report_and_in_the_refusal(
    run: Run, engine: ComfyEngine
) -> None:
    assert "a_module_that_nobody_has" in engine.health()["failed_packages"]["broken_pack"]
    result = run({"1": {"class_type": "TestBroken", "inputs": {}}})
    assert result.error is not None
    assert result.error.code == "unknown_node"
    assert "broken_pack does not import: ModuleNotFoundError: No module named 'a_module" in result.error.message


def test_a_node_that_raises_fails_the_job_with_its_name_and_words(run: Run) -> None:
    failing = {"class_type": "TestFail", "inputs": {"image": ["image", 0], "message": "no such luck"}}
    result = run(graph(bad=failing, save=saving(images="bad")))
    assert result.error is not None
    assert (result.error.code, result.error.node_id) == ("node_failed", "bad")
    assert result.error.message == "TestFail (node bad): ValueError: no such luck"
    assert run(graph(save=saving())).status == "completed"
