from __future__ import annotations

import copy
import functools
import json
import re
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.manifests import kubernetes_documents
from infra.deploy.stack_variables import NAMES, stack_variables
from infra.deploy.tool import Tool

OVERLAYS = Path(__file__).resolve().parents[2] / "infra" / "k8s" / "overlays"
KUBECTL = Tool(str(Path(sys.executable).with_name("kubectl")), page="PyPI")
RELEASES = ["1.30", "1.34"]
KEYS = {"AWS_ACCESS_KEY_ID": "aws", "AWS_SECRET_ACCESS_KEY": "aws"}


def documents(**fields: Any) -> dict[tuple[str, str], Any]:
    return made_once(json.dumps(fields))


@functools.cache
def made_once(text: str) -> dict[tuple[str, str], Any]:
    fields = json.loads(text)
    config = DeployConfig.model_validate({"image": "registry.example.org:5000/comfyui:1.2", **fields})
    made = kubernetes_documents(config, stack_variables(config, offline=True), KUBECTL)
    return {(document["kind"], document["metadata"]["name"].split("-")[0]): document for document in made}


def container(document: Any) -> Any:
    return document["spec"]["template"]["spec"]["containers"][0]


def check(document: Any, release: str) -> None:
    """Raises where the API's own schema, or KEDA's, does not have it so."""
    if not document["apiVersion"].startswith("keda.sh/"):
        kubernetes_validate.validate(document, release, strict=True)
        return
    read = getattr(keda, document["kind"]).model_validate(document)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == document  # a field it lacks is dropped


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_the_overlays_follow_the_schemas_of_kubernetes_and_keda(overlay: str, release: str) -> None:
    made = list(yaml.safe_load_all(KUBECTL.run("kustomize", str(OVERLAYS / overlay))))
    assert len(made) > 10
    for document in made:
        check(document, release)


def test_what_is_deployed_follows_them_too() -> None:
    everything = documents(
        secrets={"SECRET_KEY": "comfyui", **KEYS},
        kubernetes={"storage_class": "efs", "role_arn": "arn:aws:iam::123456789012:role/comfyui"},
    )
    for document in everything.values():
        check(document, RELEASES[-1])


def test_the_schemas_refuse_a_misspelt_field() -> None:
    made = documents()
    for kind, name in (("Deployment", "worker"), ("ScaledObject", "worker")):
        wrong = copy.deepcopy(made[kind, name])
        wrong["spec"]["pausd"] = True
        with pytest.raises((AssertionError, kubernetes_validate.ValidationError)):
            check(wrong, RELEASES[-1])


def test_deploy_yaml_is_laid_over_the_overlay() -> None:
    made = documents(
        gpus=["a10g", "t4"],
        workers={"min": 1, "max": 7, "idle_timeout_s": 90, "concurrency": 2},
        volume={"size_gb": 120},
        env={"LOG_LEVEL": "DEBUG", "AWS_REGION": "us-east-1"},
    )
    scaled = made["ScaledObject", "worker"]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"], scaled["cooldownPeriod"]) == (1, 7, 90)
    assert {trigger["metadata"]["queueLength"] for trigger in scaled["triggers"]} == {"2"}
    assert {trigger["metadata"]["awsRegion"] for trigger in scaled["triggers"]} == {"us-east-1"}
    assert made["PersistentVolumeClaim", "models"]["spec"]["resources"]["requests"]["storage"] == "120G"
    assert made["ConfigMap", "settings"]["data"]["LOG_LEVEL"] == "DEBUG"
    affinity = made["Deployment", "worker"]["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["NVIDIA-A10G", "Tesla-T4"]
    assert container(made["Deployment", "api"])["image"] == "registry.example.org:5000/comfyui:1.2"


def test_an_image_by_digest_stays_one() -> None:
    digest = "sha256:" + "a" * 64
    made = documents(image=f"registry.example.org/comfyui@{digest}")
    assert container(made["Deployment", "worker"])["image"] == f"registry.example.org/comfyui@{digest}"


def test_secrets_come_by_reference_and_the_key_of_tokens_to_the_api_alone() -> None:
    made = documents(secrets={"SECRET_KEY": "comfyui", **KEYS})
    names = {
        name: {entry["name"] for entry in container(made["Deployment", name])["env"]} for name in ("api", "worker")
    }
    assert names == {"api": {"DEVICE", "DISPATCH", "SECRET_KEY", *KEYS}, "worker": set(KEYS)}
    reference = {"name": "comfyui", "key": "SECRET_KEY"}
    assert {"secretKeyRef": reference} in [
        entry.get("valueFrom") for entry in container(made["Deployment", "api"])["env"]
    ]


def test_keda_reads_the_queues_by_the_pods_role_or_by_their_keys() -> None:
    assert documents()["TriggerAuthentication", "queues"]["spec"]["podIdentity"]["provider"] == "aws"
    by_key = documents(secrets=KEYS)["TriggerAuthentication", "queues"]["spec"]
    assert [entry["parameter"] for entry in by_key["secretTargetRef"]] == ["awsAccessKeyID", "awsSecretAccessKey"]


def test_every_queue_that_scales_is_named_in_the_settings() -> None:
    made = documents()
    named = {trigger["metadata"]["queueURLFromEnv"] for trigger in made["ScaledObject", "worker"]["spec"]["triggers"]}
    assert len(named) == 3
    assert named <= set(made["ConfigMap", "settings"]["data"])


def test_every_pod_is_bounded_and_without_rights() -> None:
    made = documents()
    job = made["CronJob", "sweeper"]["spec"]["jobTemplate"]
    for document in (made["Deployment", "worker"], made["Deployment", "api"], job):
        pod = document["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        one = container(document)
        assert (
            one["securityContext"] | {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            == (one["securityContext"])
        )
        assert "memory" in one["resources"]["limits"]


def test_no_pod_reaches_the_nodes_metadata() -> None:
    rules = documents()["NetworkPolicy", "pods"]["spec"]["egress"]
    assert 80 in {port["port"] for rule in rules if "to" in rule for port in rule["ports"]}
    assert 80 not in {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}


def test_without_an_image_it_says_how_one_is_made() -> None:
    with pytest.raises(DeployError, match=r"docker build -f Dockerfile\.gpu"):
        documents(image=None)


def test_env_that_names_everything_needs_no_stack() -> None:
    config = DeployConfig.model_validate({"env": dict.fromkeys(NAMES, "x")})
    assert stack_variables(config) == dict.fromkeys(NAMES, "x")


def test_the_static_overlays_hold_no_account() -> None:
    for path in OVERLAYS.parent.rglob("*.yaml"):
        assert not re.search(r"\d{12}", path.read_text()), path
