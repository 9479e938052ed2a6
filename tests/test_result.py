from __future__ import annotations

import json
from typing import Any

from runtime.errors import ModelMissing
from runtime.result import Failure, JobResult, Output


def output(**changes: Any) -> Output:
    facts = {"node_id": "9", "kind": "image", "filename": "a.png", "content_type": "image/png", "size_bytes": 5}
    return Output(**{**facts, "sha256": "0", **changes})


def test_a_completed_job_has_no_error_in_it() -> None:
    wire = JobResult(job_id="a", status="completed", engine="native", outputs=(output(url="https://a"),)).to_wire()
    assert "error" not in wire
    assert wire["outputs"][0]["url"] == "https://a"
    json.dumps(wire, allow_nan=False)


def test_a_failed_job_has_its_error_and_nothing_that_looks_like_a_result() -> None:
    error = ModelMissing("no such model", node_id="4", node_errors={"4": {"errors": []}})
    assert JobResult(job_id="a", status="failed", error=Failure.of(error)).to_wire() == {
        "job_id": "a",
        "status": "failed",
        "error": {
            "code": "model_missing",
            "message": "no such model",
            "retryable": False,
            "node_id": "4",
            "node_errors": {"4": {"errors": []}},
        },
    }


def test_a_failed_jobs_warnings_are_told_too() -> None:
    error = Failure.of(ModelMissing("no such model"))
    assert JobResult(job_id="a", status="failed", error=error, warnings=("w",)).to_wire()["warnings"] == ["w"]


def test_pictures_come_in_worker_comfyuis_form_as_well() -> None:
    outputs = (output(url="https://a"), output(filename="b.png", data="AAAA"))
    assert JobResult(job_id="a", status="completed", outputs=outputs).images == [
        {"filename": "a.png", "type": "s3_url", "data": "https://a"},
        {"filename": "b.png", "type": "base64", "data": "AAAA"},
    ]


def test_previews_and_files_are_not_among_the_pictures() -> None:
    outputs = (output(url="https://a", temporary=True), output(url="https://a", kind="latent"))
    assert JobResult(job_id="a", status="completed", outputs=outputs).images == []


def test_links_and_bytes_show_in_no_repr() -> None:
    assert "s3cret" not in repr(output(url="https://a?X-Amz-Signature=s3cret", data="s3cret"))
