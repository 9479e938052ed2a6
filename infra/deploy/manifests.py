"""Kubernetes documents of a deployment: the overlay of its environment with deploy.yaml laid over it, by Kustomize."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.deploy.config import DeployConfig
from infra.deploy.gpus import names_on
from infra.deploy.tool import Tool

OVERLAYS = Path(__file__).resolve().parents[1] / "k8s" / "overlays"

_KEYS = {"awsAccessKeyID": "AWS_ACCESS_KEY_ID", "awsSecretAccessKey": "AWS_SECRET_ACCESS_KEY"}

Document = dict[str, Any]


def kubernetes_documents(config: DeployConfig, variables: Mapping[str, str], kubectl: Tool) -> list[Document]:
    """Every document, in an order in which they can be applied."""
    with tempfile.TemporaryDirectory() as folder:
        overlay = os.path.relpath(OVERLAYS / config.environment, os.path.realpath(folder))
        text = yaml.safe_dump(_kustomization(config, variables, overlay), sort_keys=False)
        (Path(folder) / "kustomization.yaml").write_text(text, encoding="utf-8")
        made = kubectl.run("kustomize", folder)
    documents = list(yaml.safe_load_all(made))
    return sorted(documents, key=lambda document: document["kind"] != "Namespace")


def _kustomization(config: DeployConfig, variables: Mapping[str, str], overlay: str) -> Document:
    name, at, version = config.image_on("Kubernetes").rpartition("@")
    if not at:
        name, _, version = version.rpartition(":")
    image = {"name": "comfyui-serverless", "newName": name, ("digest" if at else "newTag"): version}
    literals = [f"{key}={value}" for key, value in {**variables, **config.env}.items()]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": config.full_name,
        "resources": [overlay],
        "images": [image],
        "configMapGenerator": [{"name": "settings", "behavior": "merge", "literals": literals}],
        "patches": [*_patches(config, variables["AWS_REGION"])],
    }


def _patches(config: DeployConfig, region: str) -> list[Document]:
    namespace = [_set("/metadata/name", config.full_name)]
    scale = [
        _set("/spec/minReplicaCount", config.workers.min),
        _set("/spec/maxReplicaCount", config.workers.max),
        _set("/spec/cooldownPeriod", config.workers.idle_timeout_s),
    ]
    for number in range(3):
        scale.append(_set(f"/spec/triggers/{number}/metadata/queueLength", str(config.workers.concurrency)))
        scale.append(_set(f"/spec/triggers/{number}/metadata/awsRegion", region))
    volume = [_set("/spec/resources/requests/storage", f"{config.volume.size_gb}G")]
    if config.kubernetes.storage_class:
        volume.append(_set("/spec/storageClassName", config.kubernetes.storage_class))
    patches = [
        _patch("Namespace", ".*", namespace),
        _patch("ScaledObject", "worker", scale),
        _patch("PersistentVolumeClaim", "models", volume),
        _patch("Deployment", "worker", [_set("/spec/template/spec/affinity", _affinity(config))]),
    ]
    if config.kubernetes.role_arn:
        annotation = {"eks.amazonaws.com/role-arn": config.kubernetes.role_arn}
        patches.append(_patch("ServiceAccount", "comfyui", [_set("/metadata/annotations", annotation)]))
    if config.secrets:
        patches += _secret_patches(config)
    return patches


def _affinity(config: DeployConfig) -> Document:
    """A GPU of those that are named, the sooner named the more preferred."""
    names = list(dict.fromkeys(names_on("kubernetes", config.gpus)))

    def holds(*wanted: str) -> Document:
        return {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": list(wanted)}]}

    preferred = [{"weight": max(1, 100 - 10 * place), "preference": holds(name)} for place, name in enumerate(names)]
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [holds(*names)]},
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }
    }


def _secret_patches(config: DeployConfig) -> list[Document]:
    env = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": variable}}}
        for variable, secret in sorted(config.secrets.items())
    ]
    workers = [entry for entry in env if entry["name"] != "SECRET_KEY"]  # signs tokens, which is the API's alone
    container = "/spec/template/spec/containers/0"
    patches = [
        _patch("Deployment", "worker", [_set(f"{container}/env", workers)]),
        _patch("Deployment", "api", [_set(f"{container}/env/-", entry) for entry in env]),
        _patch("CronJob", "sweeper", [_set(f"/spec/jobTemplate{container}/env", workers)]),
    ]
    if all(variable in config.secrets for variable in _KEYS.values()):
        references = [
            {"parameter": parameter, "name": config.secrets[variable], "key": variable}
            for parameter, variable in _KEYS.items()
        ]
        patches.append(_patch("TriggerAuthentication", "queues", [_set("/spec", {"secretTargetRef": references})]))
    return patches


def _set(path: str, value: Any) -> Document:
    return {"op": "add", "path": path, "value": value}  # replaces what stands there; "/-" goes behind it


def _patch(kind: str, name: str, operations: list[Document]) -> Document:
    return {"target": {"kind": kind, "name": name}, "patch": yaml.safe_dump(operations, sort_keys=False)}
