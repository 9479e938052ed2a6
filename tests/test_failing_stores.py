"""A worker whose stores or disk fail: every end is a result with a code, and the worker runs the next job."""

from __future__ import annotations

import errno
import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.build import build, build_artifacts
from runtime.cancellation import CancelFlag
from runtime.errors import StateUnavailable, StorageUnavailable
from runtime.jobs.record import JobFacts
from runtime.jobs.sqlite import SqliteJobStore
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.settings import Settings
from runtime.worker import Worker

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "b"}},
}
FULL = OSError(errno.ENOSPC, "No space left on device")


class Failing:
    """A store, one call of which does `act` first."""

    def __init__(self, store: Any, call: str, act: Callable[[], object]) -> None:
        self._store = store
        self._call = call
        self._act = act

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            self._act()
        return getattr(self._store, name)


class Later:
    """A clock that is an hour ahead of another."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def wall(self) -> float:
        return float(self._clock.wall()) + 3600

    def monotonic(self) -> float:
        return float(self._clock.monotonic())


def raising(error: Exception, *, after: int = 0) -> Callable[[], object]:
    calls = iter(range(10**6))

    def act() -> None:
        if next(calls) >= after:
            raise error

    return act


COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def picture(color: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), COLORS[color]).save(file, "png")
    return file.getvalue()


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """`serve({"/path?query": body})`: where a server of this machine's answers these."""
    servers: list[ThreadingHTTPServer] = []

    def start(bodies: dict[str, bytes]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(bodies[self.path])

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {"STORAGE_BASE_PATH": "data", "MODELS_PATH": "models", "COMFYUI_TEMP_PATH": "work"}
    return Settings.from_env({"DEVICE": "cpu", **{name: str(tmp_path / part) for name, part in folders.items()}})


@pytest.fixture
def worker(settings: Settings) -> Iterator[Worker]:
    worker = build(settings)
    yield worker
    worker.close()


def run(worker: Worker, flag: CancelFlag | None = None, **fields: Any) -> JobResult:
    request, _ = JobRequest.parse({"workflow": GRAPH, **fields})
    return worker.run(request, cancel=flag)


def run_with(worker: Worker, part: str, call: str, act: Callable[[], object], flag: CancelFlag | None = None) -> Any:
    """The error of a job while `call` of a store is broken; the next job, with the store as it was, is completed."""
    whole = worker._parts
    broken: dict[str, Any] = {part: Failing(getattr(whole, part), call, act)}
    worker._parts = replace(whole, **broken)
    result = run(worker, flag)
    worker._parts = whole
    assert run(worker).status == "completed"
    return result.error


@pytest.mark.parametrize(
    ("part", "call", "error", "code"),
    [
        ("jobs", "claim", StateUnavailable("away"), "state_unavailable"),
        ("jobs", "claim", RuntimeError("a defect"), "internal"),
        ("jobs", "finish", RuntimeError("a defect"), "internal"),
        ("artifacts", "put", StorageUnavailable("away"), "storage_unavailable"),
        ("artifacts", "put", RuntimeError("a defect"), "internal"),
        ("artifacts", "sign", StorageUnavailable("away"), "storage_unavailable"),
        ("artifacts", "sign", RuntimeError("a defect"), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_store_that_fails_is_a_coded_end(worker: Worker, part: str, call: str, error: Exception, code: str) -> None:
    failure = run_with(worker, part, call, raising(error))
    assert (failure.code, failure.retryable) == (code, True)
    assert str(error) in failure.message


def test_what_was_stored_before_a_failure_is_taken_back(worker: Worker, settings: Settings) -> None:
    run_with(worker, "artifacts", "put", raising(StorageUnavailable("away"), after=1))
    kept = [found.key for found in build_artifacts(settings).list("outputs/")]
    assert len(kept) == 2  # the next job's


def test_outputs_kept_of_an_address_are_not_another_job_s(
    settings: Settings, serve: Callable[[dict[str, bytes]], str]
) -> None:
    """The query is no part of what makes requests the same, and yet another picture may lie behind it."""
    address = serve({"/a?red": picture("red"), "/a?blue": picture("blue")})
    load = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    worker = build(settings.model_copy(update={"allow_private_urls": True}))
    whole = worker._parts
    away: Any = Failing(whole.artifacts, "put", raising(StorageUnavailable("away")))
    for parts, color, id in ((replace(whole, artifacts=away), "red", "a"), (whole, "blue", "b"), (whole, "red", "a2")):
        worker._parts = parts
        result = run(worker, workflow=load, images=[{"name": "a.png", "image": f"{address}/a?{color}"}], job_id=id)
        assert result.status == ("failed" if id == "a" else "completed"), result.error
        made = [whole.artifacts.get(output.key or "") for output in result.outputs]
        assert all(data and Image.open(io.BytesIO(data)).getpixel((0, 0)) == COLORS[color] for data in made)
    worker.close()


def test_an_end_that_the_job_store_does_not_take_is_written_with_the_next_job(worker: Worker) -> None:
    whole = worker._parts
    broken: Any = Failing(whole.jobs, "finish", raising(StateUnavailable("away")))
    worker._parts = replace(whole, jobs=broken)
    result = run(worker, job_id="a")
    worker._parts = whole
    assert (result.status, result.warnings) == ("completed", ("the job's state could not be written yet: away",))
    assert run(worker, job_id="b").status == "completed"
    record = whole.jobs.get("default", "a")
    assert record is not None
    assert (record.status.value, len(record.outputs)) == ("completed", 2)


def test_a_queue_brings_a_job_again_whose_end_nothing_takes(worker: Worker) -> None:
    whole = worker._parts
    jobs: Any = Failing(whole.jobs, "finish", raising(StateUnavailable("away")))
    spool: Any = Failing(whole.spool, "keep", lambda: None)
    spool.keep = lambda *_: False
    worker._parts = replace(whole, jobs=jobs, spool=spool)
    request, _ = JobRequest.parse({"workflow": GRAPH, "job_id": "a"})
    assert not worker.run(request, requeue="anywhere").has_ended
    worker._parts = whole


def test_outputs_that_the_store_does_not_take_are_delivered_by_the_next_attempt_and_not_computed_again(
    worker: Worker, settings: Settings
) -> None:
    whole = worker._parts
    broken: Any = Failing(whole.artifacts, "put", raising(StorageUnavailable("away"), after=1))
    worker._parts = replace(whole, artifacts=broken)
    request, _ = JobRequest.parse({"workflow": GRAPH, "job_id": "a", "output": {"delivery": "base64"}})
    waiting = worker.run(request, requeue="here")
    assert (waiting.status, waiting.error and waiting.error.code) == ("pending", "storage_unavailable")
    worker._parts = replace(whole, clock=Later(whole.clock), engines=None)  # type: ignore[arg-type]
    whole.jobs._clock = Later(whole.clock)  # type: ignore[attr-defined]
    result = worker.run(request, requeue="here")
    worker._parts = whole
    assert (result.status, result.engine, result.timings_ms.execute) == ("completed", "native", 0)
    assert [output.filename for output in result.outputs] == ["a_00001_.png", "b_00001_.png"]
    assert all(output.data for output in result.outputs)
    assert [found.key.split("/")[3] for found in build_artifacts(settings).list("outputs/")] == ["2", "2"]


def test_a_cancel_while_outputs_are_stored_leaves_none(worker: Worker, settings: Settings) -> None:
    flag = CancelFlag()
    failure = run_with(worker, "artifacts", "put", flag.set, flag)
    assert failure.code == "cancelled"
    assert len(list(build_artifacts(settings).list("outputs/"))) == 2


def test_no_room_for_input_files_is_storage_unavailable(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    worker = build(settings.model_copy(update={"workspace_path": tmp_path / "file" / "work"}))
    error = run(worker, images=[{"name": "a.png", "image": "AAAA"}]).error
    worker.close()
    assert error is not None
    assert (error.code, error.retryable) == ("storage_unavailable", True)


def test_a_full_disk_is_storage_unavailable(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr("runtime.artifacts.local._fill", lambda *_: raising(FULL)())
        error = run(worker).error
    assert error is not None
    assert (error.code, "No space left on device" in error.message) == ("storage_unavailable", True)
    assert run(worker).status == "completed"


def fill_disk(jobs: object) -> None:
    """SQLite's own word for no room: the job store's file may not grow by a page any more, and is full of jobs."""
    assert isinstance(jobs, SqliteJobStore)
    with jobs._file.connection() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    facts = JobFacts(tenant="t", job_id="", request_sha256="a" * 64, workflow_sha256="b" * 64)
    with pytest.raises(StateUnavailable, match="full"):
        deque(jobs.create(replace(facts, job_id=str(number)), dispatch_by=2e9) for number in range(1_000))


def free_disk(jobs: object) -> None:
    assert isinstance(jobs, SqliteJobStore)
    with jobs._file.connection() as connection:
        connection.execute("PRAGMA max_page_count = 1073741823")


def test_a_job_does_not_begin_where_the_disk_of_its_job_store_is_full(worker: Worker) -> None:
    fill_disk(worker._parts.jobs)
    error = run(worker, job_id="x" * 64, user_id="u" * 128).error
    assert error is not None
    assert (error.code, error.retryable, "full" in error.message) == ("state_unavailable", True, True)
    free_disk(worker._parts.jobs)
    assert run(worker, job_id="x" * 64, user_id="u" * 128).status == "completed"


def test_a_result_outlives_a_disk_that_is_full_when_its_job_ends(worker: Worker) -> None:
    whole = worker._parts
    filling: Any = Failing(whole.jobs, "finish", lambda: fill_disk(whole.jobs))
    worker._parts = replace(whole, jobs=filling)
    result = run(worker, job_id="a")
    worker._parts = whole
    assert result.status == "completed"
    [warning] = result.warnings
    assert "could not be written yet" in warning
    assert "full" in warning
    free_disk(worker._parts.jobs)
    assert run(worker, job_id="b").status == "completed"
    record = whole.jobs.get("default", "a")
    assert record is not None
    assert (record.status.value, len(record.outputs)) == ("completed", 2)


def test_outputs_are_links_where_their_bytes_would_not_fit(worker: Worker) -> None:
    worker._parts = replace(worker._parts, result_limit_bytes=100)
    for _ in range(2):  # as it ends, and as it is recorded
        result = run(worker, job_id="a", output={"delivery": "base64"})
        assert all(output.url and not output.data for output in result.outputs)
        assert result.warnings == ("outputs come as links: with their bytes the result would be too large",)
