from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.knative_serving.serving import v1 as knative
from fake_tool import FakeTool

from infra.deploy.cloudrun_target import SERVICE, differences
from infra.deploy.command import main
from infra.deploy.stack_variables import NAMES

GOLDEN = Path(__file__).parent / "golden" / "cloudrun.txt"
OF_KNATIVE = ("containerConcurrency", "timeoutSeconds")
FILE: dict[str, Any] = {
    "image": "registry.example.org/comfyui:1.2",
    "region": "europe-west4",
    "gpus": ["l4"],
    "env": {name: f"the-{name.lower()}" for name in NAMES},
    "secrets": {
        name: name.lower().replace("_", "-") for name in ("SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    },
    "cloudrun": {"project": "a-project", "models_bucket": "the-models"},
}


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_tool: Callable[[str], FakeTool]) -> FakeTool:
    """A project without services, and a deploy.yaml for it in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump(FILE))
    tool = fake_tool("gcloud")
    tool.answer("run services list", "[]")
    return tool


def made(gcloud: FakeTool) -> dict[str, Any]:
    """The service as Cloud Run would have it after a deployment, with fields of its own."""
    service: dict[str, Any] = yaml.safe_load(gcloud.files[-1])
    service["metadata"]["annotations"]["serving.knative.dev/creator"] = "somebody"
    service["status"] = {"url": "https://comfyui.run.app", "conditions": [{"type": "Ready", "status": "True"}]}
    return service


def deploy(gcloud: FakeTool) -> dict[str, Any]:
    gcloud.answer("run services list", json.dumps([{"status": {"url": "https://comfyui.run.app"}}]))
    assert main(["cloudrun", "--yes"]) == 0
    service = made(gcloud)
    gcloud.answer("run services list", json.dumps([service]))
    return service


def test_the_service_follows_the_schemas_of_knative_and_of_a_pod() -> None:
    document = yaml.safe_load(SERVICE.read_text())
    pod = {key: value for key, value in document["spec"]["template"]["spec"].items() if key not in OF_KNATIVE}
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "spec": pod}, "1.34", strict=True)
    del document["spec"]["template"]["spec"]["containers"][0]["resources"]  # whose numbers that library cannot read
    del document["spec"]["template"]["spec"]["volumes"]  # csi is Cloud Run's addition
    read = knative.Service.model_validate(document)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == document


def test_the_plan_names_the_service_and_the_call(gcloud: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloudrun", "--plan"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()
    assert all("replace" not in call for call in gcloud.calls)


def test_deploy_yaml_is_laid_over_the_service(gcloud: FakeTool, capsys: pytest.CaptureFixture[str]) -> None:
    service = deploy(gcloud)
    assert "the API is at https://comfyui.run.app" in capsys.readouterr().out
    pod = service["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"run.googleapis.com/accelerator": "nvidia-l4"}
    assert pod["volumes"][0]["csi"]["volumeAttributes"] == {"bucketName": "the-models"}
    env = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    assert env["SECRET_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "secret-key", "key": "latest"}}
    assert env["S3_BUCKET"]["value"] == "the-s3_bucket"


def test_a_second_deployment_changes_nothing_and_drift_is_named(
    gcloud: FakeTool, capsys: pytest.CaptureFixture[str]
) -> None:
    service = deploy(gcloud)
    assert main(["cloudrun", "--plan"]) == 0
    assert "1 to keep. Calls: none" in capsys.readouterr().out
    service["spec"]["template"]["spec"]["timeoutSeconds"] = 5
    gcloud.answer("run services list", json.dumps([service]))
    assert main(["status", "cloudrun"]) == 0
    assert "Service (spec.template.spec.timeoutSeconds)" in capsys.readouterr().out


def test_logs_are_read_and_the_service_is_deleted(gcloud: FakeTool) -> None:
    deploy(gcloud)
    assert main(["logs", "cloudrun", "--follow"]) == 0
    assert gcloud.calls[-1].startswith("beta run services logs tail comfyui-production")
    assert main(["destroy", "cloudrun", "--yes"]) == 0
    assert gcloud.calls[-1] == (
        "run services delete comfyui-production --region europe-west4 --project a-project --quiet"
    )


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("secrets", "secrets.AWS_ACCESS_KEY_ID is not set: `gcloud secrets create"),
        ("region", "region is not set in deploy.yaml"),
        ("cloudrun", "cloudrun.models_bucket is not set in deploy.yaml"),
        ("image", "docker build -f Dockerfile.gpu"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(
    gcloud: FakeTool, tmp_path: Path, capsys: pytest.CaptureFixture[str], without: str, said: str
) -> None:
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump({key: FILE[key] for key in FILE if key != without}))
    assert main(["cloudrun", "--yes"]) == 1
    assert said in capsys.readouterr().err


def test_what_the_platform_adds_is_no_difference() -> None:
    assert list(differences({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}], "d": 3})) == []
    assert list(differences({"a": [{"b": 1}], "e": 0}, {"a": [{"b": 2}]})) == ["a.0.b", "e"]
