"""The platforms that there are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from infra.deploy.config import DeployConfig
from infra.deploy.target import Target

TARGETS: Mapping[str, tuple[str, str]] = {
    "aws": ("infra.deploy.aws_target:AwsTarget", "table, bucket, queues, policies and alarms on AWS"),
    "k8s": ("infra.deploy.k8s_target:KubernetesTarget", "API, workers and sweeper on Kubernetes, scaled by KEDA"),
    "ecs": ("infra.deploy.ecs_target:EcsTarget", "workers on ECS with GPU instances, scaled by the queues' depth"),
    "cloudrun": ("infra.deploy.cloudrun_target:CloudRunTarget", "the API with a GPU on Google's Cloud Run"),
    "compose": ("infra.deploy.compose_target:ComposeTarget", "nginx, workers and sweeper on one machine with Docker"),
    "runpod": ("infra.deploy.runpod_target:RunpodTarget", "a volume, and an endpoint with its workers, on RunPod"),
    "modal": ("infra.deploy.modal_target:ModalTarget", "workers, API and sweeper on Modal"),
}
"""Where each one's class is, which takes the configuration, and what the command's help says of it."""


def build_target(name: str, config: DeployConfig) -> Target:
    """The deployment that `config` describes on the platform `name`."""
    module, _, attribute = TARGETS[name][0].partition(":")
    target: Target = getattr(import_module(module), attribute)(config)
    return target
