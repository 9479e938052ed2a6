"""`comfyui-serverless jobs`, on jobs that ran here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.build import build
from runtime.commands.jobs import main
from runtime.request import JobRequest
from runtime.settings import Settings

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
BROKEN = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "a"}}}


@pytest.fixture(autouse=True)
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs of ada's that completed, and one that failed, in the deployment that the environment names."""
    own = {"STORAGE_BASE_PATH": str(tmp_path), "MODELS_PATH": str(tmp_path / "models"), "DEVICE": "cpu"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    worker = build(Settings.from_env(own))
    for name, workflow in (("one", GRAPH), ("two", GRAPH), ("broken", BROKEN)):
        worker.run(JobRequest(workflow=workflow, job_id=name, user_id="ada"))
    worker.close()


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(GRAPH))
    return path


def test_jobs_are_listed_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--user", "ada", "--limit", "2"]) == 0
    *lines, more = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["broken", "two"]
    assert main(["list", "--user", "ada", "--cursor", more.removeprefix("more: --cursor ")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[1] == "completed"
    assert line.split()[-1] == "one"


def test_jobs_may_be_listed_by_status_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--user", "ada", "--status", "failed", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(job["job_id"], job["status"]) for job in listed["jobs"]] == [("broken", "failed")]


def test_statistics_are_of_the_last_days(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--user", "ada"]) == 0
    assert capsys.readouterr().out.startswith("jobs      3 (completed 2, failed 1)\nduration  mean 0.")
    assert main(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == 0


def test_a_workflow_is_estimated_by_what_ran(workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(workflow)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("native: 0.")
    assert out.endswith("(2 jobs)\n")


def test_a_workflow_like_none_has_no_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(BROKEN))
    assert main(["estimate", str(other)]) == 1
    assert capsys.readouterr().out == "no job like this one has completed and is remembered\n"


def test_what_cannot_be_answered_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--cursor", "no cursor"]) == 2
    assert main(["estimate", str(tmp_path / "none.json")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "cursor 'no cursor' is not one that a page of jobs gave" in first
    assert "none.json cannot be read" in second
