"""What one job leaves for the next."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.result import JobResult
from runtime.worker import Worker

Run = Callable[..., JobResult]
Make = Callable[..., dict[str, Any]]


def sent(name: str, text: str) -> dict[str, str]:
    return {"name": name, "image": base64.b64encode(text.encode()).decode()}


def test_two_jobs_files_of_one_name_never_meet(run: Run, node: Make) -> None:
    made = {"r": node("TestReadQuietly", name="a.txt"), "s": node("TestShowText", text=["r", 0])}
    texts = [run(made, images=[sent("a.txt", text)]).outputs[0].text for text in ("mine", "yours", "mine")]
    assert texts == ["mine", "yours", "mine"]


def test_a_job_does_not_see_the_input_of_the_one_before(run: Run, node: Make) -> None:
    run({"r": node("TestReadFile", name="secret.txt")}, images=[sent("secret.txt", "mine")])
    result = run({"r": node("TestReadFile", name="secret.txt")})
    assert result.error is not None
    assert "No such file" in result.error.message


def test_a_model_file_that_took_anothers_name_is_read(run: Run, node: Make, own_models: Path) -> None:
    shown = {"m": node("TestReadModel", name="named.safetensors"), "s": node("TestShowText", text=["m", 0])}
    results = []
    for text in ("one", "one", "another"):
        draft = own_models / "checkpoints" / "draft"
        if results[1:] or not results:
            draft.write_text(text)
            draft.replace(own_models / "checkpoints" / "named.safetensors")
        results.append(run(shown))
    assert [result.outputs[0].text for result in results] == ["one", "one", "another"]
    assert ["m" in result.cached_nodes for result in results] == [False, True, False]


def test_a_node_that_remembers_its_folder_writes_into_the_job_of_the_day(run: Run, node: Make) -> None:
    for text in ("one", "two"):
        result = run({"w": node("TestRemembering", text=text)})
        assert [output.text for output in result.outputs] == [text], result.error


def test_nothing_of_a_job_stays_on_the_disk(run: Run, node: Make, worker: Worker) -> None:
    run({"w": node("TestWriteFiles", key="images", names="a.png")})
    root = worker._parts.workspace_root
    assert root is not None
    assert list(Path(root).iterdir()) == []


def test_another_tenants_cached_nodes_are_not_used(
    run: Run, graph: Make, node: Make, worker: Worker, own_class: Any
) -> None:
    count, parts = own_class("TestCount"), worker._parts
    made = graph(count=node("TestCount", image=["image", 0], name="tenants"),
                 show=node("PreviewImage", images=["count", 0]))  # fmt: skip
    try:
        for tenant in ("one", "two", "one", "two"):
            worker._parts = replace(parts, tenant=tenant)
            assert run(made).status == "completed"
    finally:
        worker._parts = parts
    assert count.runs["tenants"] == 2


def test_a_picture_of_the_shared_folder_can_be_loaded(run: Run, node: Make, worker: Worker, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (6, 4)).save(tmp_path / "shared.png")
    parts = worker._parts
    try:
        worker._parts = replace(parts, shared_inputs=[tmp_path])
        result = run({"l": node("LoadImage", image="shared.png"), "s": node("PreviewImage", images=["l", 0])})
    finally:
        worker._parts = parts
    assert [(output.width, output.height) for output in result.outputs] == [(6, 4)], result.error
    assert (tmp_path / "shared.png").is_file()
