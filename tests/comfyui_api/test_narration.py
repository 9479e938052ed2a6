from __future__ import annotations

import json
import struct

from runtime.comfyui_api.narration import Narration
from runtime.jobs.record import JobError, JobRecord, Status
from runtime.progress import Progress

AT = "2026-11-24T20:00:00.000000Z"


def record(status: Status, **more: object) -> JobRecord:
    facts = {"tenant": "t", "job_id": "p", "request_sha256": "", "workflow_sha256": "", "created_at": AT}
    return JobRecord(status=status, **{**facts, **more})


def narration() -> Narration:
    return Narration("p", {"1": "KSampler"}, lambda: 1.5)


def progress(node_id: str, step: int = 0, steps: int = 0) -> dict[str, object]:
    return Progress(node_id=node_id, step=step, steps=steps).to_wire()


def test_progress_before_the_record_says_that_it_runs_begins_the_prompt_once() -> None:
    told = narration()
    assert told.progresses(progress("1"))[0] == ("execution_start", {"prompt_id": "p", "timestamp": 1500})
    assert told.begins(record(Status.RUNNING, started_at=AT)) == []


def test_the_same_node_is_told_of_once_and_its_steps_each_time() -> None:
    told = narration()
    told.progresses(progress("1"))
    kinds = [[kind for kind, _ in told.progresses(progress("1", step, 3))] for step in (1, 2)]
    assert kinds == [["progress_state", "progress"]] * 2


def test_a_job_that_never_began_is_told_of_by_its_end_alone() -> None:
    messages = narration().ends(record(Status.CANCELLED, finished_at=AT), lambda output: None)
    assert [kind for kind, _ in messages] == ["execution_interrupted"]


def test_an_error_names_its_node_and_class() -> None:
    error = JobError(code="node_failed", message="no", retryable=False, node_id="1")
    (message,) = narration().ends(record(Status.FAILED, finished_at=AT, error=error), lambda output: None)
    kind, data = message
    assert (kind, data["node_id"], data["node_type"]) == ("execution_error", "1", "KSampler")
    assert (data["exception_type"], data["exception_message"]) == ("node_failed", "no")


def test_a_preview_is_a_frame_and_carries_whose_it_is_where_that_is_read() -> None:
    told = narration()
    assert told.preview(b"jpeg", with_metadata=False) is None
    told.progresses(progress("1"))
    assert told.preview(b"jpeg", with_metadata=False) == struct.pack(">II", 1, 1) + b"jpeg"
    frame = told.preview(b"jpeg", with_metadata=True) or b""
    kind, length = struct.unpack(">II", frame[:8])
    metadata = json.loads(frame[8 : 8 + length])
    assert (kind, frame[8 + length :]) == (4, b"jpeg")
    assert (metadata["node_id"], metadata["prompt_id"], metadata["image_type"]) == ("1", "p", "image/jpeg")
