"""`comfyui-serverless sweep`, in this process and as one of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers import sweeper as handler
from runtime.clock import ManualClock
from runtime.commands.sweep import main
from runtime.jobs.record import JobFacts, Status
from runtime.jobs.sqlite import SqliteJobStore

_CODE = "import sys; from comfyui_serverless.command import main; sys.exit(main())"
FACTS = JobFacts(tenant="default", job_id="job-1", request_sha256="a" * 64, workflow_sha256="b" * 64)


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handler and the command say how their process logs, which is every test's."""
    level = logging.getLogger().level
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture(autouse=True)
def lost_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteJobStore:
    """A store, named by the environment, with a job whose worker was lost in 2001."""
    monkeypatch.setenv("STORAGE_BASE_PATH", str(tmp_path))
    store = SqliteJobStore(tmp_path / "jobs.db", clock=ManualClock(1_000_000_000.0))
    store.claim(FACTS, worker_id="worker-a")
    return store


def test_one_sweep_prints_its_figures(lost_job: SqliteJobStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert main([]) == 0
    assert capsys.readouterr().out == "sweep: requeued 1\nsweep: nothing to do\n"
    record = lost_job.get(*FACTS.key)
    assert record is not None
    assert record.status is Status.PENDING


def test_the_figures_may_be_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requeued"] == 1


def test_a_store_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STORAGE_BASE_PATH", str(tmp_path / "file"))
    assert main([]) == 1
    assert "jobs.db cannot be used" in capsys.readouterr().err


def test_settings_that_are_wrong_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TENANT", "a b")
    assert main([]) == 2
    assert "TENANT is 'a b'" in capsys.readouterr().err


def test_a_loop_ends_with_sigterm() -> None:
    command = [sys.executable, "-c", _CODE, "sweep", "--every", "3600"]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sweep: requeued 1\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_the_lambda_function_answers_the_figures() -> None:
    handler._sweeper.cache_clear()
    assert handler.handle({"source": "aws.events"}, None)["requeued"] == 1
    assert handler.handle({"source": "aws.events"}, None)["requeued"] == 0
    handler._sweeper.cache_clear()


def test_the_lambda_function_needs_no_torch() -> None:
    script = "import sys, handlers.sweeper; print(sorted({'torch', 'numpy', 'PIL', 'safetensors'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
