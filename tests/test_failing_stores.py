"""A worker whose stores or disk fail: every end is a result with a code, and the worker runs the next job."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.build import build, build_artifacts
from runtime.cancellation import CancelFlag
from runtime.errors import StateUnavailable, StorageUnavailable
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


def raising(error: Exception, *, after: int = 0) -> Callable[[], object]:
    calls = iter(range(10**6))

    def act() -> None:
        if next(calls) >= after:
            raise error

    return act


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


def test_a_job_store_that_fails_at_the_end_is_a_warning(worker: Worker) -> None:
    assert run_with(worker, "jobs", "finish", raising(StateUnavailable("away"))) is None


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
