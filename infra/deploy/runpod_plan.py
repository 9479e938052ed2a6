"""What a deployment is on RunPod, as its API takes it, and how what is there differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.gpus import names_on

MODELS = "/runpod-volume/models"
"""Where serverless workers have their volume is RunPod's own choice: /runpod-volume."""
_JOB_S = 3600
_QUEUE_DELAY_S = 4
_CENTRES_PAGE = "https://docs.runpod.io/storage/network-volumes"


def volume_body(config: DeployConfig) -> dict[str, Any]:
    """The volume for the models. Raises DeployError where the file does not say in which data centre."""
    if config.region is None:
        raise DeployError(
            "region is not set in deploy.yaml: a volume lies in one of RunPod's data centres, as in `region: EU-RO-1` "
            f"({_CENTRES_PAGE})"
        )
    return {"name": f"{config.full_name}-models", "size": config.volume.size_gb, "dataCenter": config.region}


def endpoint_body(config: DeployConfig, volume_id: str) -> dict[str, Any]:
    """The endpoint, its container with it: version 2 of the API binds the template by itself."""
    return {
        "name": config.full_name,
        "type": "QUEUE",
        "image": config.image_on("RunPod"),
        "disk": config.runpod.container_disk_gb,
        "env": _environment(config),
        "gpu": {"pools": list(dict.fromkeys(names_on("runpod", config.gpus))), "count": 1},
        "dataCenterIds": [config.region],
        "networkVolumes": [volume_id],
        "flashboot": "FLASHBOOT" if config.runpod.flash_boot else "OFF",
        "timeout": int((float(config.env.get("MAX_TIMEOUT_S", _JOB_S)) + 60) * 1000),
        **_scaling(config),
    }


def _scaling(config: DeployConfig) -> dict[str, Any]:
    """One job a worker: by how long jobs wait. More: by their number, where RunPod takes no idle time-out."""
    workers = {"min": config.workers.min, "max": config.workers.max}
    if config.workers.concurrency > 1:
        scaling: dict[str, Any] = {"type": "REQUEST_COUNT", "requestCount": config.workers.concurrency}
        return {"workers": workers, "scaling": scaling}
    scaling = {"type": "QUEUE_DELAY", "queueDelay": _QUEUE_DELAY_S}
    return {"workers": {**workers, "idleTimeout": config.workers.idle_timeout_s}, "scaling": scaling}


def _environment(config: DeployConfig) -> dict[str, str]:
    secrets = {variable: f"{{{{ RUNPOD_SECRET_{name} }}}}" for variable, name in config.secrets.items()}
    return {"COMFYUI_MODELS_PATH": MODELS, **config.env, **secrets}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """The fields of `wanted` that are otherwise in `found`; a variable by its name, never its value."""
    for name, value in wanted.items():
        there = found.get(name)
        if name == "env":
            there = there or {}
            changed = {key for key in there.keys() | value.keys() if there.get(key) != value.get(key)}
            yield from (f"env.{key}" for key in sorted(changed))
        elif isinstance(value, Mapping):
            if any((there or {}).get(key) != part for key, part in value.items()):
                yield name
        elif there != value:
            yield name


def patch_of(wanted: Mapping[str, Any], where: tuple[str, ...]) -> dict[str, Any]:
    """The body that sets right what differs."""
    return {name: wanted[name] for name in {field.partition(".")[0] for field in where}}
