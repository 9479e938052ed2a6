from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_tool import FakeTool

from infra.deploy import compose_target
from infra.deploy.command import main

GOLDEN = Path(__file__).parent / "golden" / "compose.txt"
HASHES = {"certificate": "c1", "nginx": "n1", "sweeper": "s1", "worker": "w1"}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_tool: Callable[[str], FakeTool]) -> FakeTool:
    """A Docker with no containers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    tool = fake_tool("docker")
    tool.answer("config --hash", "".join(f"{name} {hash}\n" for name, hash in HASHES.items()))
    return tool


def running(docker: FakeTool, **hashes: str) -> None:
    lines = [
        json.dumps({"Service": name, "Labels": f"a=b,com.docker.compose.config-hash={hash}"})
        for name, hash in {**HASHES, **hashes}.items()
    ]
    docker.answer("--format json", "\n".join(lines))


def copy_of_the_folder(tmp_path: Path) -> Path:
    """infra/compose without an .env that whoever tests may have there."""
    folder = tmp_path / "compose"
    return Path(shutil.copytree(compose_target.FOLDER, folder, ignore=shutil.ignore_patterns(".env")))


def added(docker: FakeTool) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(docker.files[-1])
    return document["services"]


def test_the_plan_names_every_service_and_call(docker: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "--plan"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()
    assert all(" up " not in call for call in docker.calls)


def test_a_docker_without_compose_is_said_with_where_to_get_it(
    docker: FakeTool, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.answer("ps", "unknown flag: --project-name", 125)
    assert main(["status", "compose"]) == 1
    assert capsys.readouterr().err.endswith("without Compose: https://docs.docker.com/compose/install/\n")


def test_the_services_are_started_with_what_deploy_yaml_adds(docker: FakeTool, tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text("env: {LOG_LEVEL: DEBUG}\nimage: a/b:1\nworkers: {min: 2}\n")
    assert main(["compose", "--yes"]) == 0
    assert docker.calls[-1].endswith("--profile server up --detach --remove-orphans --scale worker=2")
    assert "gpu.yaml" in docker.calls[-1]
    assert added(docker)["worker"] == {"image": "a/b:1", "environment": {"LOG_LEVEL": "DEBUG"}}
    assert "nginx" not in added(docker)


def test_without_an_image_it_is_built_and_without_a_gpu_none_is_asked_for(docker: FakeTool, tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text("compose: {gpu: false}\n")
    assert main(["compose", "--yes"]) == 0
    assert "--build" in docker.calls[-1]
    assert "gpu.yaml" not in docker.calls[-1]
    assert "comfyui-api.yaml" not in docker.calls[-1]


def test_comfyuis_own_api_is_opened_where_deploy_yaml_says(docker: FakeTool, tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text("compose: {comfyui_api: true}\n")
    assert main(["compose", "--yes"]) == 0
    assert "comfyui-api.yaml" in docker.calls[-1]


def test_what_runs_by_another_definition_is_shown(docker: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    running(docker)
    assert main(["compose", "--plan"]) == 0
    assert "4 to keep. Calls: none" in capsys.readouterr().out
    running(docker, worker="w0")
    assert main(["status", "compose"]) == 0
    assert "  ~ worker               service\n" in capsys.readouterr().out


@pytest.mark.parametrize("delete_data", [False, True], ids=["the volume stays", "the volume goes"])
def test_it_is_taken_down(docker: FakeTool, capsys: pytest.CaptureFixture[str], delete_data: bool) -> None:
    running(docker)
    assert main(["destroy", "compose", "--yes", *(["--delete-data"] if delete_data else [])]) == 0
    assert ("DELETED" if delete_data else "stays") in capsys.readouterr().out
    assert docker.calls[-1].endswith("--volumes") is delete_data


def test_without_a_key_for_tokens_it_says_how_one_is_made(
    docker: FakeTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET_KEY", "")
    monkeypatch.setattr(compose_target, "FOLDER", copy_of_the_folder(tmp_path))
    assert main(["compose", "--yes"]) == 1
    assert "SECRET_KEY=$(openssl rand -hex 32)" in capsys.readouterr().err


def test_without_docker_the_page_is_named_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["compose", "--plan"]) == 0
    shown = capsys.readouterr()
    assert shown.out == GOLDEN.read_text()
    assert "docker is not on PATH: https://docs.docker.com/engine/install/ has it" in shown.err
