"""The handler's own forms: results as RunPod's library wants them, progress that never piles up."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import runpod

from handlers.runpod_wire import RESULT_LIMIT_BYTES, progress_post, to_runpod
from runtime.errors import InvalidRequest
from runtime.progress import Progress


def test_a_completed_result_is_handed_over_as_it_is() -> None:
    assert to_runpod({"job_id": "a", "status": "completed"}) == {"job_id": "a", "status": "completed"}


def test_an_error_becomes_a_string_with_the_object_beside_it() -> None:
    detail = {"code": "model_missing", "message": "no checkpoint a.safetensors", "retryable": False}
    wire = to_runpod({"job_id": "a", "status": "failed", "error": detail})
    assert wire["error"] == "model_missing: no checkpoint a.safetensors"
    assert wire["error_detail"] == detail


def test_a_result_that_runpod_would_refuse_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match=r"RunPod takes 20000000: expected a bucket for links"):
        to_runpod({"images": [{"data": "a" * RESULT_LIMIT_BYTES}]})


def test_no_progress_is_posted_while_an_update_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    on_their_way: list[Any] = []
    steps: list[int] = []

    def post(event: Any, progress: dict[str, int]) -> None:
        on_their_way.append(event)
        steps.append(progress["step"])

    monkeypatch.setenv("RUNPOD_WEBHOOK_POST_OUTPUT", "http://127.0.0.1:9/job-done/$ID?gpu=none")
    monkeypatch.setattr(runpod.serverless, "progress_update", post)
    sink = progress_post({"id": "a"})
    sink(Progress(step=1))
    sink(Progress(step=2))
    on_their_way.clear()
    gc.collect()
    sink(Progress(step=3))
    assert steps == [1, 3]
