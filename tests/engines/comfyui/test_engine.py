"""A worker's jobs on a ComfyUI checkout."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from PIL import Image

from runtime.engines.comfyui.engine import ComfyEngine
from runtime.graph.workflow import parse_workflow
from runtime.progress import Progress
from runtime.result import JobResult
from runtime.telemetry.traces import trace_with
from runtime.workspace import Workspace

Run = Callable[..., JobResult]
Make = Callable[..., dict[str, Any]]


def test_a_saved_picture_is_an_output_that_carries_its_graph(run: Run, graph: Make, node: Make) -> None:
    result = run(graph(save=node("SaveImage", images=["image", 0], filename_prefix="sub/red")))
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


def test_a_picture_comes_in_the_format_that_is_asked_for(run: Run, graph: Make, node: Make) -> None:
    save = node("SaveImage", images=["image", 0], filename_prefix="red")
    result = run(graph(save=save), output={"format": "webp"})
    assert [(output.filename, output.content_type) for output in result.outputs] == [("red_00001_.webp", "image/webp")]


def test_a_preview_is_a_temporary_output(run: Run, graph: Make, node: Make) -> None:
    result = run(graph(show=node("PreviewImage", images=["image", 0])))
    assert [(output.temporary, output.kind) for output in result.outputs] == [(True, "image")]
    assert result.images == []


def test_a_node_that_ran_is_cached_and_the_output_is_made_again(run: Run, graph: Make, node: Make) -> None:
    jobs = [run(graph(save=node("SaveImage", images=["image", 0], filename_prefix="red"))) for _ in range(2)]
    assert jobs[1].cached_nodes == ("image",)
    assert [output.filename for output in jobs[1].outputs] == ["red_00001_.png"]


def test_progress_tells_the_nodes_one_by_one(run: Run, graph: Make, node: Make) -> None:
    told: list[Progress] = []
    save = node("SaveImage", images=["invert", 0], filename_prefix="red")
    run(graph(invert=node("ImageInvert", image=["image", 0]), save=save), on_progress=told.append)
    assert [progress.node_id for progress in told][-2:] == ["invert", "save"]
    assert [progress.nodes_done for progress in told][-2:] == [1, 2]
    assert all(progress.nodes_total == 3 for progress in told)


def test_a_step_inside_a_node_is_progress(run: Run, graph: Make, node: Make) -> None:
    told: list[Progress] = []
    wait = node("TestWait", image=["image", 0], count=3)
    run(graph(wait=wait, save=node("PreviewImage", images=["wait", 0])), on_progress=told.append)
    assert [(p.step, p.steps) for p in told if p.node_id == "wait" and p.steps] == [(1, 3), (2, 3), (3, 3)]


def test_a_samplers_preview_comes_with_its_step_where_it_is_asked_for(run: Run, node: Make) -> None:
    told: list[Progress] = []
    run({"1": node("TestSample", steps=3)}, on_progress=told.append, previews=True)
    pictures = [progress.preview for progress in told if progress.steps]
    assert [picture is not None for picture in pictures] == [True, False, False]
    assert pictures[0] is not None
    picture = Image.open(io.BytesIO(pictures[0].data))
    assert (picture.format, picture.size, picture.getpixel((4, 3))) == ("JPEG", (8, 6), (254, 0, 0))


def test_without_that_no_preview_is_made(
    run: Run, node: Make, engine: ComfyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a preview was made")

    assert engine._comfy is not None
    previewer = engine._comfy.module("latent_preview").LatentPreviewer
    monkeypatch.setattr(previewer, "decode_latent_to_preview_image", never)
    told: list[Progress] = []
    assert run({"1": node("TestSample", steps=3)}, on_progress=told.append).status == "completed"
    assert [progress.preview for progress in told] == [None] * 4


def test_a_package_that_does_not_import_is_named_in_the_report_and_in_the_refusal(
    run: Run, engine: ComfyEngine, node: Make
) -> None:
    assert "a_module_that_nobody_has" in engine.health()["failed_packages"]["broken_pack"]
    result = run({"1": node("TestBroken")})
    assert result.error is not None
    assert result.error.code == "unknown_node"
    assert "broken_pack does not import: ModuleNotFoundError: No module named 'a_module" in result.error.message


def test_a_node_class_that_nobody_has_is_named_with_a_near_one(run: Run, node: Make) -> None:
    result = run({"1": node("SaveImag")})
    assert result.error is not None
    assert result.error.message == "SaveImag (node 1): there is no node class 'SaveImag' (did you mean SaveImage?)"


def test_a_wrong_value_is_refused_in_comfyuis_own_terms(run: Run, graph: Make, node: Make) -> None:
    result = run(graph(save=node("SaveImage", images=["image", 0], filename_prefix="a"), image=node("EmptyImage")))
    assert result.error is not None
    assert result.error.code == "graph_rejected"
    errors = (result.error.node_errors or {})["image"]["errors"]
    assert {error["type"] for error in errors} == {"required_input_missing"}


def test_a_model_that_is_not_there_is_a_missing_model(run: Run, node: Make) -> None:
    result = run(
        {"1": node("CheckpointLoaderSimple", ckpt_name="no.safetensors"), "2": node("PreviewAny", source=["1", 0])}
    )
    assert result.error is not None
    assert result.error.code == "model_missing"
    assert "no.safetensors" in result.error.message


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"width": 12_000, "height": 12_000}, "height: the value 12000 is above this deployment's limit, 8333 (MAX_"),
        ({"width": "16", "height": 16, "batch_size": 300}, "batch_size: the value 300 is above"),
    ],
    ids=["pixels", "batch"],
)
def test_a_graph_over_the_deployments_limits_is_refused(
    inputs: dict[str, Any], named: str, run: Run, node: Make
) -> None:
    image = node("EmptyImage", **{"batch_size": 1, "color": 0, **inputs})
    result = run({"image": image, "show": node("PreviewImage", images=["image", 0])})
    assert result.error is not None
    assert result.error.code == "graph_rejected"
    errors = (result.error.node_errors or {})["image"]["errors"]
    assert any(f"{error['details']}: {error['message']}".startswith(named) for error in errors)


def test_steps_over_the_limit_are_refused_and_a_good_output_still_runs(run: Run, graph: Make, node: Make) -> None:
    show = node("PreviewImage", images=["image", 0])
    result = run(graph(show=show, sample=node("TestSample", steps=1001)))
    assert [output.node_id for output in result.outputs] == ["show"]
    assert "above this deployment's limit, 1000 (MAX_STEPS)" in result.warnings[0]


def test_an_output_with_nothing_wrong_runs_where_another_is_left_out(run: Run, graph: Make, node: Make) -> None:
    good = node("SaveImage", images=["image", 0], filename_prefix="good")
    result = run(graph(good=good, bad=node("SaveImage", images=["nowhere", 0], filename_prefix="bad")))
    assert [output.node_id for output in result.outputs] == ["good"]
    assert "bad" in result.warnings[0]


def test_a_node_that_raises_fails_the_job_with_its_name_and_words(run: Run, graph: Make, node: Make) -> None:
    fail = node("TestFail", image=["image", 0], message="no such luck")
    result = run(graph(bad=fail, save=node("PreviewImage", images=["bad", 0])))
    assert result.error is not None
    assert (result.error.code, result.error.node_id) == ("node_failed", "bad")
    assert result.error.message == "TestFail (node bad): ValueError: no such luck"
    assert run(graph(save=node("PreviewImage", images=["image", 0]))).status == "completed"


def test_each_node_that_runs_is_a_span_below_the_execution(run: Run, graph: Make, node: Make) -> None:
    exporter = InMemorySpanExporter()
    stop = trace_with(SimpleSpanProcessor(exporter))
    fail = node("TestFail", image=["image", 0], message="no such luck")
    run(graph(bad=fail, save=node("PreviewImage", images=["bad", 0])))
    stop()
    told = {span.name: span for span in exporter.get_finished_spans()}
    execute = told["execute"].context
    failed = told["node TestFail"]
    assert (failed.parent.span_id, failed.context.trace_id) == (execute.span_id, execute.trace_id)
    assert (failed.status.is_ok, failed.attributes["comfyui.node_id"]) == (False, "bad")
    assert "node PreviewImage" not in told


def test_who_only_asks_does_not_wait_for_the_job_at_work(
    run: Run, graph: Make, node: Make, engine: ComfyEngine, tmp_path: Path
) -> None:
    known = engine.object_info()
    asked: list[Any] = []

    def ask(progress: Progress) -> None:
        """On ComfyUI's thread, which goes on once others have their answers."""
        if asked:
            return
        bad = parse_workflow({"1": node("SaveImage", images=["no", 0]), "2": node("Nowhere")})
        with ThreadPoolExecutor(1) as others, Workspace(root=tmp_path) as files:
            asked.append(others.submit(engine.object_info).result(timeout=60))
            asked.append(others.submit(engine.rehearse, bad, files).result(timeout=60))

    assert run(graph(save=node("PreviewImage", images=["image", 0])), on_progress=ask).status == "completed"
    info, report = asked
    assert info == known
    assert report.node_errors.keys() == {"1", "2"}


def test_a_block_that_says_why_fails_the_job(run: Run, graph: Make, node: Make) -> None:
    result = run(graph(gate=node("TestBlock", image=["image", 0]), save=node("PreviewImage", images=["gate", 0])))
    assert result.error is not None
    assert result.error.code == "node_failed"
    assert "the gate is shut" in result.error.message


def test_a_chain_of_a_thousand_nodes_runs(run: Run, graph: Make, node: Make) -> None:
    chain = {f"n{i}": node("ImageInvert", image=[f"n{i - 1}" if i else "image", 0]) for i in range(1000)}
    result = run(graph(**chain, save=node("PreviewImage", images=["n999", 0])))
    assert result.status == "completed", result.error
