from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_serverless import verbs
from PIL import Image


@pytest.fixture
def path(tmp_path: Path, workflow: dict[str, Any]) -> str:
    path = tmp_path / "portrait.json"
    path.write_text(json.dumps(workflow))
    return str(path)


@pytest.fixture(autouse=True)
def here(deployment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_SERVERLESS_URL", deployment)


def test_a_workflow_is_submitted_followed_and_saved(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "made"
    for _ in range(2):
        assert verbs.submit([path, "--set", "The Colour.color=255", "--save", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert ": completed" in shown
    assert str(folder / "a_00001_.png") in shown
    assert sorted(found.name for found in folder.iterdir()) == ["a_00001_-2.png", "a_00001_.png"]
    assert Image.open(folder / "a_00001_.png").getpixel((0, 0)) == (0, 0, 255)


def test_a_job_goes_on_by_its_id(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.submit([path, "--job-id", "by-its-id", "--priority", "high"]) == 0
    assert capsys.readouterr().out == "by-its-id\n"
    assert verbs.watch(["by-its-id"]) == 0
    assert "by-its-id: completed\n  image    http://" in capsys.readouterr().out
    assert verbs.status(["by-its-id"]) == verbs.cancel(["by-its-id"]) == 0
    assert capsys.readouterr().out == "by-its-id: completed\n" * 2
    assert verbs.fetch(["by-its-id", "--save", str(tmp_path / "made")]) == 0
    assert (tmp_path / "made" / "a_00001_.png").exists()
    assert verbs.list_jobs([]) == 0
    assert "by-its-id" in capsys.readouterr().out


def test_json_is_what_a_script_reads(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.submit([path, "--wait", "--json", "--seed", "1"]) == 1
    assert "no node has such a value" in capsys.readouterr().err
    assert verbs.submit([path, "--wait", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert verbs.status([result["job_id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "completed"
    assert verbs.list_jobs(["--json", "--limit", "1"]) == 0
    assert len(json.loads(capsys.readouterr().out)["jobs"]) == 1


def test_a_job_that_fails_says_why_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"1": {"class_type": "Nothing", "inputs": {}}}))
    assert verbs.submit([str(path), "--wait"]) == 1
    assert "unknown_node" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.json"], "absent.json cannot be read"),
        (["{path}", "--set", "color"], "expected NAME=VALUE"),
        (["{path}", "--image", "a.png=/nonexistent"], "/nonexistent cannot be read"),
        (["{path}", "--url", "desk"], "expected http://HOST"),
    ],
)
def test_what_cannot_be_sent_is_named(
    path: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verbs.submit([word.format(path=path) for word in words]) == 1
    assert said in capsys.readouterr().err


def test_a_job_at_work_whose_end_is_asked_for_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = {"width": 4000, "height": 3000}
    scaled = {
        str(n): {"class_type": "ImageScale", "inputs": {
            "image": [str(n - 1), 0], "upscale_method": "lanczos", "crop": "disabled", **size, "width": 4000 + n % 2,
        }}
        for n in range(2, 40)
    }  # fmt: skip
    nodes = {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "batch_size": 1, "color": 0}},
        **scaled,
        "40": {"class_type": "SaveImage", "inputs": {"images": ["39", 0], "filename_prefix": "a"}},
    }
    path = tmp_path / "slow.json"
    path.write_text(json.dumps(nodes))
    assert verbs.submit([str(path), "--job-id", "slow"]) == 0
    while "running" not in capsys.readouterr().out:
        assert verbs.status(["slow"]) == 0
    assert verbs.cancel(["slow"]) == 0
    assert capsys.readouterr().out.endswith(", its end is asked for\n")
    assert verbs.watch(["slow"]) == 1
    capsys.readouterr()
    assert verbs.status(["slow"]) == 0
    assert capsys.readouterr().out == "slow: cancelled, the job was cancelled on request\n"


def test_a_job_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.status(["nothing"]) == 1
    assert "there is no job 'nothing'" in capsys.readouterr().err


def test_a_jobs_course_is_told_with_what_each_node_took(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.submit([path, "--job-id", "logged", "--wait"]) == 0
    capsys.readouterr()
    assert verbs.logs(["logged"]) == 0
    told = capsys.readouterr().out
    for said in ("  created\n", "  finished\n", "logged: completed", "total ", "  node 2  "):
        assert said in told


def test_the_course_of_a_job_that_failed_names_the_problem_of_each_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "a"}}}))
    assert verbs.submit([str(bad), "--job-id", "badly", "--wait"]) == 1
    capsys.readouterr()
    assert verbs.logs(["badly", "--follow"]) == 0
    told = capsys.readouterr().out
    assert "graph_rejected" in told
    assert "  node 7: " in told


def test_jobs_of_one_status_are_listed(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.submit([path, "--job-id", "of-a-status", "--wait"]) == 0
    capsys.readouterr()
    assert verbs.list_jobs(["--status", "completed", "--limit", "200"]) == 0
    assert "of-a-status" in capsys.readouterr().out
    assert verbs.list_jobs(["--status", "cancelled"]) == 0
    assert "of-a-status" not in capsys.readouterr().out
