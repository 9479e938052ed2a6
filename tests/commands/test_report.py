from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.commands.report import report_lines
from runtime.result import Failure, JobResult, Output, Timings


def output(**changes: Any) -> Output:
    facts = {"node_id": "9", "kind": "image", "filename": "a.png", "content_type": "image/png", "size_bytes": 5}
    return Output(**{**facts, "sha256": "0", **changes})


def test_a_completed_job_tells_where_its_picture_is_its_link_and_its_time() -> None:
    timings = Timings(load=500, execute=1500, deliver=20, total=2040)
    made = (output(key="k", url="https://a/k?sig=1"), output(kind="text", text="hello"))
    result = JobResult(job_id="j", status="completed", outputs=made, timings_ms=timings, warnings=("careful",))
    assert list(report_lines("cat.json", result, {"k": Path("out/a.png")})) == [
        "cat.json: completed (job j)",
        "  image    out/a.png",
        "  link     https://a/k?sig=1",
        "  text     hello",
        "  warning  careful",
        "  took     2.04 s (load 0.50 s, execute 1.50 s, deliver 0.02 s)",
    ]


def test_a_failed_job_tells_why() -> None:
    result = JobResult(job_id="j", status="failed", error=Failure(code="model_missing", message="no cat.safetensors"))
    assert list(report_lines("cat.json", result, {})) == [
        "cat.json: failed (job j)",
        "  model_missing: no cat.safetensors",
    ]


def test_a_preview_is_told_by_its_link() -> None:
    made = output(key="k", url="https://a/k", temporary=True)
    result = JobResult(job_id="j", status="completed", outputs=(made,))
    assert "  preview  https://a/k" in list(report_lines("cat.json", result, {}))
