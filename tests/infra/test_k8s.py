from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fake_tool import FakeTool

from infra.deploy.command import main
from infra.deploy.stack_variables import NAMES

GOLDEN = Path(__file__).parent / "golden" / "k8s.txt"
FILE = {
    "image": "registry.example.org/comfyui:1.2",
    "env": {name: f"the-{name.lower()}" for name in NAMES},
    "secrets": {"SECRET_KEY": "comfyui"},
    "kubernetes": {"context": "here"},
}


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_tool: Callable[[str], FakeTool]) -> FakeTool:
    """A cluster with nothing in it, and a deploy.yaml for it in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump(FILE))
    return fake_tool("kubectl")


def apply(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Deploy, and let the cluster have what it was given."""
    assert main(["k8s", "--yes"]) == 0
    capsys.readouterr()
    made = list(yaml.safe_load_all(kubectl.given[-1]))
    kubectl.answer("get --ignore-not-found -f -", json.dumps({"items": made}))
    kubectl.answer("get namespace comfyui-production", "namespace/comfyui-production\n")
    return made


def test_the_plan_names_every_document_and_call(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["k8s", "--plan"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()
    assert all("apply" not in call for call in kubectl.calls)


def test_everything_is_applied_and_the_api_is_waited_for(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    made = apply(kubectl, capsys)
    assert made[0]["kind"] == "Namespace"
    assert [call for call in kubectl.calls if "get" not in call] == [
        "--context here apply -f -",
        "--context here rollout status deployment/api --namespace comfyui-production --timeout 600s",
    ]


def test_a_second_deployment_changes_nothing(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    apply(kubectl, capsys)
    assert main(["k8s", "--plan"]) == 0
    assert "0 to create, 0 to update, 0 to delete, 14 to keep. Calls: none" in capsys.readouterr().out


def test_what_was_changed_in_the_cluster_is_shown(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    apply(kubectl, capsys)
    place = "apps.v1.Deployment.comfyui-production.worker"
    kubectl.answer("diff -f -", f"diff -u -N /tmp/LIVE-1/{place} /tmp/MERGED-2/{place}\n--- a\n+++ b\n", 1)
    assert main(["status", "k8s"]) == 0
    shown = capsys.readouterr().out
    assert "differs from the file, `deploy k8s` mends it" in shown
    assert [line for line in shown.splitlines() if line.startswith("  ~")] == ["  ~ worker               Deployment"]


def test_logs_are_of_workers_and_api(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    apply(kubectl, capsys)
    kubectl.answer("logs", "[pod/worker-1/worker] job a is completed\n")
    assert main(["logs", "k8s", "--follow"]) == 0
    assert capsys.readouterr().out == "[pod/worker-1/worker] job a is completed\n"
    assert kubectl.calls[-1].endswith("--max-log-requests=50 -f")


@pytest.mark.parametrize("delete_data", [False, True], ids=["the volume stays", "the volume goes"])
def test_it_is_taken_down(kubectl: FakeTool, capsys: pytest.CaptureFixture[str], delete_data: bool) -> None:
    apply(kubectl, capsys)
    assert main(["destroy", "k8s", "--yes", *(["--delete-data"] if delete_data else [])]) == 0
    assert ("DELETED" if delete_data else "volume of models stays") in capsys.readouterr().out
    kinds = {document["kind"] for document in yaml.safe_load_all(kubectl.given[-1])}
    assert ("PersistentVolumeClaim" in kinds) is delete_data


def test_there_is_nothing_to_show_before_there_is_something(
    kubectl: FakeTool, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("status", "logs", "destroy"):
        assert main([verb, "k8s"]) == 1
        assert "there is no namespace comfyui-production: `comfyui-serverless deploy k8s`" in capsys.readouterr().err


def test_a_missing_key_for_tokens_says_how_one_is_made(
    kubectl: FakeTool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump({**FILE, "secrets": {}}))
    assert main(["k8s", "--yes"]) == 1
    assert "--from-literal=SECRET_KEY=$(openssl rand -hex 32)" in capsys.readouterr().err
    assert all("apply" not in call for call in kubectl.calls)


def test_what_kubectl_refuses_is_said(kubectl: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answer("apply", "error: no matches for kind ScaledObject in version keda.sh/v1alpha1\n", 3)
    assert main(["k8s", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "exited with 3: error: no matches for kind ScaledObject" in said
    assert "KEDA is not in the cluster" in said


def test_without_kubectl_the_page_is_named_that_has_it(
    kubectl: FakeTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("kubectl") is None
    assert main(["k8s", "--plan"]) == 1
    assert "kubectl is not on PATH: https://kubernetes.io/docs/tasks/tools/ has it" in capsys.readouterr().err
