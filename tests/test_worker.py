"""The way of a job, on the embedded parts."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.build import build, build_artifacts, build_jobs
from runtime.cancellation import CancelFlag
from runtime.clock import ManualClock, SystemClock
from runtime.errors import HandedBack
from runtime.job_facts import facts_of
from runtime.jobs.leases import Claim
from runtime.jobs.record import Dispatch, JobFacts, JobRecord, Status
from runtime.progress import Progress
from runtime.reference import RequestReference
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.settings import Settings
from runtime.worker import Worker

NODES = """
import sys


class Fail:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        raise RuntimeError("it broke")


class Exit(Fail):
    def run(self, image):
        raise SystemExit(3)

    @classmethod
    def VALIDATE_INPUTS(cls, where):
        return True if where == "run" else sys.exit(4)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "where": ("STRING",)}}


class Forever:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"optional": {"after": ("*",)}, "hidden": {"context": "CONTEXT"}}

    def run(self, context, after=None):
        import torch

        step = 0
        while True:
            step += 1
            context.step(step, 1_000_000, lambda: torch.ones(4, 6, 3))


class Defect:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        from runtime.errors import StorageUnavailable

        raise StorageUnavailable("the bucket is away")


class Say:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING",)}}

    def run(self, text):
        return {"ui": {"text": [text]}}


NODE_CLASS_MAPPINGS = {"Fail": Fail, "Exit": Exit, "Forever": Forever, "Say": Say, "Away": Defect}
"""
Run = Callable[..., JobResult]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


PICTURE = node("EmptyImage", width=16, height=8, batch_size=1, color=0xFF0000)
SAVE = node("SaveImage", images=["1", 0], filename_prefix="red")
GRAPH = {"1": PICTURE, "2": SAVE}
HERE, THERE = (Dispatch(backend="runpod", platform_job_id=name) for name in ("one", "two"))
AWAY = {"1": node("Away")}
PIXEL = base64.b64encode(b"not looked at").decode()
FOREVER = {**GRAPH, "3": node("Forever", after=["1", 0])}


class Then(list[Progress]):
    """Progress that is kept, and an `act` at the step `step`."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self._step = step
        self._act = act

    def append(self, progress: Progress) -> None:
        super().append(progress)
        if progress.step == self._step:
            self._act()


class Each(list[Progress]):
    """Progress that is kept, and an `act` at each."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def append(self, progress: Progress) -> None:
        super().append(progress)
        self._act()


class Home:
    """One deployment on embedded parts; each job's events are kept in `progress`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "nodes").mkdir()
        (folder / "nodes" / "test_nodes.py").write_text(NODES)
        self.clock = SystemClock()
        self.settings = Settings.from_env(
            {
                "STORAGE_BASE_PATH": str(folder / "data"),
                "MODELS_PATH": str(folder / "models"),
                "COMFYUI_TEMP_PATH": str(folder / "work"),
                "NATIVE_NODES_PATH": str(folder / "nodes"),
                "DEVICE": "cpu",
                "MAX_TIMEOUT_S": "60",
            }
        )
        self.progress: list[Progress] = []

    def worker(self, clock: Any = None, **options: Any) -> Worker:
        return build(self.settings, clock=clock, **options)

    def jobs(self, clock: Any = None) -> Any:
        return build_jobs(self.settings, clock or self.clock, build_artifacts(self.settings))

    def record(self, job_id: str) -> JobRecord:
        record = self.jobs().get("default", job_id)
        assert record is not None
        return record

    def stored(self) -> list[str]:
        return [found.key for found in build_artifacts(self.settings).list("outputs/")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def worker(home: Home) -> Iterator[Worker]:
    worker = home.worker()
    yield worker
    worker.close()


@pytest.fixture
def run(worker: Worker, home: Home) -> Run:
    def job(workflow: Any = GRAPH, *, cancel: CancelFlag | None = None, **fields: Any) -> JobResult:
        request, _ = JobRequest.parse({"workflow": workflow, **fields})
        return worker.run(request, cancel=cancel, on_progress=home.progress.append)

    return job


def code(result: JobResult) -> str:
    assert result.error is not None
    return result.error.code


def test_a_job_completes_with_a_link_to_its_picture(run: Run, home: Home) -> None:
    result = run(job_id="a")
    (output,) = result.outputs
    assert (result.job_id, result.status, result.engine, result.error) == ("a", "completed", "native", None)
    assert (output.node_id, output.filename, output.width, output.height) == ("2", "red_00001_.png", 16, 8)
    assert (output.content_type, output.key) == ("image/png", home.stored()[0])
    assert output.url is not None
    assert output.url.startswith(home.settings.public_url)


def test_its_record_says_how_it_ended(run: Run, home: Home) -> None:
    result = run(job_id="a", user_id="bob")
    record = home.record("a")
    assert (record.status, record.user_id, record.engine, record.attempt) == (Status.COMPLETED, "bob", "native", 1)
    assert [output.key for output in record.outputs] == [output.key for output in result.outputs]


def test_without_an_id_a_job_gets_one(run: Run) -> None:
    first, second = run(), run()
    assert len(first.job_id) == 26
    assert first.job_id != second.job_id


def test_its_time_is_told_in_parts(run: Run) -> None:
    timings = run().timings_ms
    assert set(timings.nodes) == {"1", "2"}
    assert 0 < timings.execute <= timings.total
    assert timings.resolve + timings.load + timings.execute + timings.deliver <= timings.total + 0.01


def test_the_time_that_a_job_waited_is_told(home: Home) -> None:
    clock = ManualClock()
    worker, jobs = home.worker(clock), home.jobs(clock)
    request, _ = JobRequest.parse({"workflow": GRAPH, "job_id": "a"})
    jobs.create(facts(request), dispatch_by=clock.wall() + 600)
    clock.advance(2.5)
    assert worker.run(request).timings_ms.queue == 2500
    worker.close()
    jobs.close()


def test_its_progress_is_told_as_it_goes(run: Run, home: Home) -> None:
    run()
    assert [(p.node_id, p.nodes_done, p.nodes_total) for p in home.progress] == [("1", 0, 2), ("2", 1, 2)]


def test_a_second_job_takes_what_is_known_from_the_cache(run: Run) -> None:
    run()
    assert run().cached_nodes == ("1",)


def test_the_bytes_come_along_where_that_is_asked(run: Run) -> None:
    (output,) = run(output={"delivery": "base64", "format": "webp"}).outputs
    assert output.data is not None
    assert base64.b64decode(output.data)[8:12] == b"WEBP"
    assert output.url is None


def test_the_same_job_again_gives_its_outputs_without_running(run: Run, home: Home) -> None:
    first = run(job_id="a")
    home.progress.clear()
    again = run(job_id="a")
    assert home.progress == []
    assert (again.status, [output.key for output in again.outputs]) == ("completed", [first.outputs[0].key])
    assert again.outputs[0].url is not None


def test_the_same_job_again_gives_its_bytes(run: Run) -> None:
    wanted = {"delivery": "base64"}
    assert run(job_id="a", output=wanted).outputs == run(job_id="a", output=wanted).outputs


def test_a_failed_job_again_is_the_same_failure(run: Run) -> None:
    broken = {"1": PICTURE, "2": node("SaveImage", images=["9", 0], filename_prefix="x")}
    assert run(broken, job_id="a").error == run(broken, job_id="a").error


def test_another_request_under_a_taken_id_is_refused(run: Run, home: Home) -> None:
    run(job_id="a")
    result = run({**GRAPH, "2": {**SAVE, "inputs": {"images": ["1", 0], "filename_prefix": "blue"}}}, job_id="a")
    assert (result.status, code(result)) == ("failed", "job_id_taken")
    assert home.record("a").status is Status.COMPLETED


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        ("{", "invalid_request"),
        ("[" * 100_000, "invalid_request"),
        ("null", "invalid_request"),
        ({}, "invalid_request"),
        ({"nodes": [], "links": []}, "invalid_request"),
        ({"1": PICTURE}, "graph_rejected"),
        ({**GRAPH, "3": node("Gone")}, "unknown_node"),
        ({**GRAPH, "1": node("EmptyImage", width=-5, height=8, batch_size=1, color=0)}, "graph_rejected"),
        ({**GRAPH, "1": node("EmptyImage", width=float("nan"), height=8, batch_size=1, color=0)}, "graph_rejected"),
        ({**GRAPH, "1": node("EmptyImage", width=8, height=8, batch_size=4000, color=0)}, "graph_rejected"),
        ({"4": node("CheckpointLoaderSimple", ckpt_name="gone"), "2": node("SaveImage", images=5)}, "graph_rejected"),
        ({**GRAPH, "1": node("LoadImage", image="../../etc/passwd")}, "graph_rejected"),
        ({"\ud800": PICTURE}, "invalid_request"),
    ],
    ids=[
        "broken json", "endless json", "null", "empty", "editor format", "no output", "unknown class", "too small",
        "nan", "over the limit", "two problems", "climbing name", "half a character",
    ],
)  # fmt: skip
def test_a_graph_that_cannot_run_is_a_failed_job_with_a_code(
    run: Run, home: Home, workflow: Any, expected: str
) -> None:
    result = run(workflow, job_id="a")
    assert (result.status, code(result)) == ("failed", expected)
    assert json.dumps(result.to_wire(), allow_nan=False).encode()
    assert home.record("a").status is Status.FAILED
    assert home.stored() == []


def test_the_worker_is_fit_for_the_next_job_after_each_failure(run: Run) -> None:
    assert [run(workflow).status for workflow in ("{", {}, GRAPH, {"1": PICTURE}, GRAPH)].count("completed") == 2


def test_problems_come_back_by_node(run: Run) -> None:
    error = run({**GRAPH, "1": node("EmptyImage", width="wide", height=8, batch_size=1, color=0)}).error
    assert error is not None
    assert error.node_errors is not None
    assert error.node_errors["1"]["errors"][0]["type"] == "invalid_input_type"


def test_a_missing_model_has_its_own_code(run: Run) -> None:
    encode = node("VAEDecode", samples=["5", 0], vae=["4", 2])
    latent = node("EmptyLatentImage", width=64, height=64, batch_size=1)
    load = node("CheckpointLoaderSimple", ckpt_name="gone.safetensors")
    assert code(run({"1": encode, "2": SAVE, "4": load, "5": latent})) == "model_missing"


def test_a_node_that_fails_is_named_and_nothing_of_the_job_stays(run: Run, home: Home) -> None:
    failing = {"3": node("Fail", image=["1", 0]), "4": node("SaveImage", images=["3", 0], filename_prefix="x")}
    result = run({**GRAPH, **failing}, job_id="a")
    assert (result.status, code(result)) == ("failed", "node_failed")
    assert result.error is not None
    assert (result.error.node_id, result.error.message) == ("3", "Fail (node 3): RuntimeError: it broke")
    assert home.stored() == []


@pytest.mark.parametrize(("where", "node_id"), [("run", "3"), ("check", None)])
def test_a_node_that_ends_the_process_ends_its_job_alone(run: Run, where: str, node_id: str | None) -> None:
    exiting = {"3": node("Exit", image=["1", 0], where=where), "4": node("SaveImage", images=["3", 0])}
    exiting["4"]["inputs"]["filename_prefix"] = "x"
    result = run({**GRAPH, **exiting})
    assert (result.status, code(result)) == ("failed", "node_failed")
    assert result.error is not None
    assert result.error.node_id == node_id
    assert run().status == "completed"


def test_a_cancelled_job_ends_within_a_step_and_leaves_nothing(run: Run, home: Home) -> None:
    flag = CancelFlag()
    home.progress = Then(3, flag.set)
    result = run(FOREVER, cancel=flag, job_id="a")
    assert (result.status, code(result)) == ("cancelled", "cancelled")
    assert home.progress[-1].step == 3
    assert home.record("a").status is Status.CANCELLED
    assert home.stored() == []


def test_previews_that_are_asked_for_come_with_progress_and_are_in_no_record(
    run: Run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.heartbeat.TICK_S", 0.005)
    flag = CancelFlag()

    def end_when_recorded() -> None:
        recorded = home.record("a").progress
        if recorded is not None and recorded.step:
            flag.set()

    home.progress = Each(end_when_recorded)
    assert run(FOREVER, cancel=flag, job_id="a", previews=True, timeout_s=30).status == "cancelled"
    pictures = [progress.preview for progress in home.progress if progress.preview is not None]
    assert (pictures[0].width, pictures[0].height, pictures[0].data[:2]) == (6, 4, b"\xff\xd8")
    assert len(pictures) < len(home.progress)


def test_a_job_cancelled_before_it_began_runs_nothing(run: Run, home: Home) -> None:
    flag = CancelFlag()
    flag.set()
    assert run(cancel=flag).status == "cancelled"
    assert home.progress == []


def test_a_job_cancelled_while_it_waits_for_its_next_attempt_is_cancelled_in_the_store(
    worker: Worker, home: Home
) -> None:
    request, _ = JobRequest.parse({"workflow": AWAY, "job_id": "a"})
    assert worker.run(request, requeue="here").status == "pending"
    flag = CancelFlag()
    flag.set()
    assert worker.run(request, cancel=flag, requeue="here").status == "cancelled"
    assert home.record("a").status is Status.CANCELLED


def test_a_job_past_its_time_is_timed_out(run: Run, home: Home) -> None:
    result = run(FOREVER, timeout_s=0.05, job_id="a")
    assert (result.status, code(result)) == ("timed_out", "timed_out")
    assert home.record("a").status is Status.TIMED_OUT


def test_a_cancel_through_the_store_ends_the_job(worker: Worker, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.heartbeat.TICK_S", 0.005)
    jobs = home.jobs()
    request, _ = JobRequest.parse({"workflow": FOREVER, "job_id": "a"})

    def ask(progress: Progress) -> None:
        if progress.step == 1:
            jobs.request_cancel("default", "a")

    assert worker.run(request, on_progress=ask).status == "cancelled"
    jobs.close()


def facts(request: JobRequest, dispatch: Dispatch | None = None) -> JobFacts:
    """What the deployment's worker claims the request as."""
    return facts_of(request, tenant="default", job_id="a", dispatch=dispatch, max_bytes=1_000_000, webhook=None)


def test_a_job_that_another_worker_took_over_publishes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.heartbeat.TICK_S", 0.005)
    clock = ManualClock()
    worker, others = home.worker(clock), home.jobs(ManualClock(clock.wall() + 100))  # to whom every lease is over
    request, _ = JobRequest.parse({"workflow": FOREVER, "job_id": "a"})
    taken: list[Any] = []

    def take_over(progress: Progress) -> None:
        if progress.step == 1:
            taken.append(others.claim(facts(request), worker_id="other"))

    result = worker.run(request, on_progress=take_over)
    worker.close()
    others.close()
    assert isinstance(taken[0], Claim)
    assert (result.status, result.has_ended, code(result), home.stored()) == ("running", False, "lease_lost", [])
    assert home.record("a").worker_id == "other"


def test_a_job_that_runs_elsewhere_is_answered_as_it_stands(home: Home, worker: Worker) -> None:
    jobs = home.jobs()
    request, _ = JobRequest.parse({"workflow": GRAPH, "job_id": "a"})
    claim = jobs.claim(facts(request, HERE), worker_id="other")
    jobs.renew(claim, Progress(node_id="3", step=4, steps=20))
    answers = {
        kind: worker.run(request, dispatch=dispatch, requeue=requeue)
        for kind, dispatch, requeue in (
            ("asked", None, "never"),
            ("another", THERE, "here"),
            ("again", HERE, "here"),
            ("queued", THERE, "anywhere"),
        )
    }
    jobs.close()
    assert {(answer.status, answer.error, answer.has_ended) for answer in answers.values()} == {
        ("running", None, False)
    }
    assert {kind: bool(answer.retry_after_s) for kind, answer in answers.items()} == {
        "asked": False, "another": False, "again": True, "queued": True,
    }  # fmt: skip
    assert answers["asked"].to_wire()["progress"]["step"] == 4


def test_a_job_that_is_handed_back_waits_for_another_worker_with_its_request(run: Run, home: Home) -> None:
    flag = CancelFlag()
    home.progress = Then(3, lambda: flag.set(HandedBack("spot reclaim")))
    result = run(FOREVER, cancel=flag, job_id="a", comfy_org_api_key="s3cret")
    assert (result.status, code(result), home.stored()) == ("pending", "handed_back", [])
    record = home.record("a")
    assert (record.status, record.attempt, record.handbacks) == (Status.PENDING, 0, 1)


def test_a_requeued_job_runs_on_another_worker_from_its_stored_request(run: Run, home: Home) -> None:
    flag = CancelFlag()
    flag.set(HandedBack("spot reclaim"))
    began = run(GRAPH, cancel=flag, job_id="a")
    assert (began.status, began.job_id) == ("pending", "a")
    flag = CancelFlag()
    home.progress = Then(0, lambda: flag.set(HandedBack("spot reclaim")))
    run(GRAPH, cancel=flag, job_id="a", images=[{"name": "in.png", "image": PIXEL}], comfy_org_api_key="s3cret")
    other = home.worker()
    assert PIXEL in (other._parts.jobs.request_of("default", "a") or "")
    assert other.run(RequestReference(job_id="a")).status == "completed"
    assert (home.record("a").attempt, home.record("a").handbacks) == (1, 1)
    other.close()


@pytest.mark.parametrize(
    ("workflow", "fields", "requeue", "status"),
    [
        (AWAY, {}, "anywhere", "pending"),
        (AWAY, {}, "here", "pending"),
        (AWAY, {}, "never", "failed"),
        (AWAY, {"max_attempts": 1}, "anywhere", "failed"),
        ({**GRAPH, "3": node("Gone")}, {}, "anywhere", "failed"),
    ],
    ids=["by a queue", "by the caller", "by nobody", "no attempt left", "bad graph"],
)
def test_what_a_retry_may_mend_waits_for_its_next_attempt(
    worker: Worker, home: Home, workflow: Any, fields: Any, requeue: Any, status: str
) -> None:
    request, _ = JobRequest.parse({"workflow": workflow, "job_id": "a", **fields})
    result = worker.run(request, requeue=requeue)
    assert (result.status, home.record("a").status.value) == (status, status)
    assert bool(result.retry_after_s) == (status == "pending")
    assert home.record("a").attempt == 1


def test_files_of_a_request_are_there_for_the_graph_and_gone_after(run: Run, home: Home) -> None:
    made = run(output={"delivery": "base64"}).outputs[0].data
    graph = {"1": node("LoadImage", image="in.png"), "2": SAVE}
    result = run(graph, images=[{"name": "in.png", "image": made}])
    assert (result.status, result.outputs[0].width) == ("completed", 16)
    assert list((home.folder / "work").iterdir()) == []


def test_the_workspace_is_removed_after_a_failure(run: Run, home: Home) -> None:
    run({**GRAPH, "3": node("Gone")}, images=[{"name": "in.png", "image": "AAAA"}])
    assert list((home.folder / "work").iterdir()) == []


def test_a_file_that_climbs_out_is_rejected(run: Run) -> None:
    assert code(run(images=[{"name": "../in.png", "image": "AAAA"}])) == "input_rejected"


def test_overrides_are_laid_over_the_workflow(run: Run) -> None:
    assert run(overrides={"1.width": 32, "SaveImage.filename_prefix": "x"}).outputs[0].filename == "x_00001_.png"


def test_an_override_that_fits_nothing_is_an_invalid_request(run: Run) -> None:
    assert code(run(overrides={"9.width": 32})) == "invalid_request"


def test_a_workflow_as_a_string_runs_like_another(run: Run) -> None:
    assert run(json.dumps(GRAPH), overrides={"1.width": 32}).outputs[0].width == 32


def editors(width: int = 24) -> dict[str, Any]:
    """GRAPH as the editor saves it, with a note beside it."""
    picture = {"id": 4, "type": "EmptyImage", "title": "Blank", "widgets_values": [width, 8, 1, 0]}
    inputs = [{"name": "images", "type": "IMAGE", "link": 1}]
    kept = {"id": 5, "type": "SaveImage", "inputs": inputs, "widgets_values": ["kept"]}
    note = {"id": 6, "type": "Note", "widgets_values": ["mind the gap"]}
    return {"nodes": [picture, kept, note], "links": [[1, 4, 0, 5, 0, "IMAGE"]], "version": 0.4}


def test_a_workflow_of_the_editor_runs_with_overrides_by_title(run: Run) -> None:
    result = run(editors(), overrides={"Blank.height": 40, "5.filename_prefix": "mine"})
    (output,) = result.outputs
    assert (output.node_id, output.filename, output.width, output.height) == ("5", "mine_00001_.png", 24, 40)


def test_a_picture_carries_the_editors_workflow_and_runs_again(run: Run) -> None:
    (image,) = run(editors(), output={"delivery": "base64"}).to_wire()["images"]
    with Image.open(io.BytesIO(base64.b64decode(image["data"]))) as picture:
        assert json.loads(picture.info["workflow"]) == editors()
    again = run(
        f"data:image/png;base64,{image['data']}",
        overrides={"4.width": 32},
        output={"delivery": "base64"},
        job_id="again",
    )
    (output,) = again.outputs
    with Image.open(io.BytesIO(base64.b64decode(output.data or ""))) as picture:
        assert (picture.width, json.loads(picture.info["workflow"])) == (32, editors())


def test_a_node_that_no_engine_has_is_named_before_anything_runs(run: Run) -> None:
    workflow = editors()
    workflow["nodes"][0]["type"] = "NobodysNode"
    result = run(workflow)
    assert code(result) == "unknown_node"
    assert result.error is not None
    assert "NobodysNode (node 4): there is no node class 'NobodysNode'" in result.error.message


def test_texts_are_outputs_too(run: Run) -> None:
    (output,) = run({"1": node("Say", text="a cat")}).outputs
    assert (output.kind, output.text, output.size_bytes) == ("text", "a cat", 5)


def test_texts_come_back_with_the_same_job_too(run: Run) -> None:
    results = [run({"1": node("Say", text="a cat")}, job_id="one") for _ in range(2)]
    assert [result.outputs[0].text for result in results] == ["a cat", "a cat"]


def test_what_is_left_out_of_a_graph_is_a_warning(run: Run) -> None:
    result = run({**GRAPH, "3": node("SaveImage", images=["9", 0], filename_prefix="x")})
    assert (result.status, len(result.outputs)) == ("completed", 1)
    assert result.warnings[0].startswith("left out: SaveImage (node 3)")


def test_an_engine_that_is_not_here_is_an_invalid_request(run: Run) -> None:
    assert code(run(engine="comfyui")) == "invalid_request"


@pytest.mark.parametrize("hostile", [{"\ud800": 1}, {"a": {1, 2}}, {"a": {1: 1, "b": 2}}], ids=ascii)
def test_what_is_no_json_is_an_invalid_request(run: Run, hostile: Any) -> None:
    assert code(run(overrides=hostile)) == "invalid_request"


def test_the_api_key_reaches_neither_store_nor_picture(run: Run, home: Home) -> None:
    run(comfy_org_api_key="s3cret", job_id="a")
    kept = [path.read_bytes() for path in (home.folder / "data").rglob("*") if path.is_file()]
    assert len(kept) > 1
    assert not any(b"s3cret" in data for data in kept)


def test_a_defect_is_an_internal_failure_and_the_worker_lives(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("runtime.attempt.fetch_inputs", lambda *_, **__: 1 / 0)
        assert code(run()) == "internal"
    assert "division by zero" in caplog.text
    assert run().status == "completed"
