"""What the Modal app is made of, by `deploy.yaml`: its image, its volume, its secrets, and how it scales."""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import modal

from infra.deploy.config import FILE, DeployConfig
from infra.deploy.config_digest import digests
from infra.deploy.config_file import read_config
from infra.deploy.errors import DeployError
from infra.deploy.gpus import names_on
from scripts.image.asked_nodes import asked_nodes

CONFIG_VARIABLE = "COMFYUI_SERVERLESS_DEPLOYMENT"
"""The deployment as JSON: what `deploy modal` hands to the app, and the app to its containers, which have no file."""
GPU_SNAPSHOT_VARIABLE = "MODAL_GPU_SNAPSHOT"
WORKER, WEB, SWEEP, SYNC = "Worker", "web", "sweep", "sync"

_ROOT = Path(__file__).resolve().parents[2]
_MODELS = PurePosixPath("/models")
_IDLE_S = (2, 1200)
_JOB_S = 3600
_STARTUP_S = 1800
_CACHE = "--no-cache-dir --disable-pip-version-check"


def read_deployment() -> DeployConfig:
    """The deployment that this process is about: what it was handed, else `deploy.yaml` in the working folder."""
    handed = os.environ.get(CONFIG_VARIABLE)
    return DeployConfig.model_validate_json(handed) if handed else read_config(Path(FILE))


def tags(config: DeployConfig) -> dict[str, str]:
    """What the app carries to say what it was deployed by; a container, which deploys nothing, need not know."""
    return digests(config) if modal.is_local() else {}


def shares_stores(config: DeployConfig) -> bool:
    """Whether job state and pictures are where every container reaches them, which the API and the sweeper need."""
    return "DYNAMODB_TABLE" in config.env and bool({"S3_BUCKET", "BUCKET_ENDPOINT_URL"} & config.env.keys())


def worker_options(config: DeployConfig) -> dict[str, Any]:
    """What `app.cls` takes for the worker. Raises DeployError for what Modal does not have."""
    shortest, longest = _IDLE_S
    if not shortest <= config.workers.idle_timeout_s <= longest:
        raise DeployError(
            f"workers.idle_timeout_s is {config.workers.idle_timeout_s}; Modal takes {shortest} to {longest}"
        )
    snaps = config.modal.snapshot != "none"
    return {
        **_shared(config),
        "gpu": names_on("modal", config.gpus),
        "min_containers": config.workers.min,
        "max_containers": config.workers.max,
        "scaledown_window": config.workers.idle_timeout_s,
        "timeout": int(float(config.env.get("MAX_TIMEOUT_S", _JOB_S))) + 60,
        "startup_timeout": _STARTUP_S,
        "enable_memory_snapshot": snaps,
        "retries": modal.Retries(max_retries=3, initial_delay=1.0),  # for a job that was handed back
        "experimental_options": {"enable_gpu_snapshot": True} if config.modal.snapshot == "gpu" else {},
    }


def function_options(config: DeployConfig) -> dict[str, Any]:
    """What `app.function` takes for what needs no GPU: the API, the sweeper, the sync of the volume."""
    return {**_shared(config), "timeout": _JOB_S}


def image(config: DeployConfig) -> modal.Image:
    """The image: what Dockerfile.gpu installs, in the same versions; the bundle itself comes last, and is mounted."""
    built = (
        modal.Image.debian_slim(python_version=_dockerfile_arg("PYTHON_VERSION"))
        .apt_install("git", "build-essential", "libgl1", "libglib2.0-0")
        .add_local_file(_ROOT / "constraints.txt", "/app/constraints.txt", copy=True)
        .run_commands(f"pip install {_CACHE} \"$(grep '^torch==' /app/constraints.txt)\"")
    )
    for name in ("pyproject.toml", "LICENSE"):
        built = built.add_local_file(_ROOT / name, f"/app/{name}", copy=True)
    built = built.run_commands(  # the SDK's code comes last, to where this looks for it
        "cd /app && mkdir -p sdk/comfyui_serverless && touch README.md sdk/comfyui_serverless/__init__.py",
        f"cd /app && pip install {_CACHE} -c constraints.txt -e '.[worker,api,aws,deploy]'",
    )
    if config.modal.comfyui:
        built = _with_comfyui(built)
    ignored = modal.FilePatternMatcher.from_file(_ROOT / ".dockerignore")
    return built.env(_environment(config)).add_local_dir(_ROOT, "/app", ignore=ignored)


def _with_comfyui(built: modal.Image) -> modal.Image:
    version = _dockerfile_arg("COMFYUI_VERSION")
    built = built.run_commands(
        f"git clone --depth 1 --branch v{version} https://github.com/comfyanonymous/ComfyUI /opt/comfyui",
        f"pip install {_CACHE} \"$(grep '^torch==' /app/constraints.txt)\" -r /opt/comfyui/requirements.txt",
    )
    script = "scripts/image/custom_nodes.py"
    asked = asked_nodes(_ROOT / "models_manifest.yaml") if modal.is_local() else []  # a container's image is there
    return built.add_local_file(_ROOT / script, f"/app/{script}", copy=True).run_commands(
        " && ".join([": >/opt/nodes.txt", *(f"echo {shlex.quote(line)} >>/opt/nodes.txt" for line in asked)]),
        f"python /app/{script} --asked /opt/nodes.txt --comfyui /opt/comfyui",
    )


def _environment(config: DeployConfig) -> dict[str, str]:
    own = {
        "PYTHONPATH": "/app:/app/sdk",
        "STORAGE_BASE_PATH": "/data",
        "COMFYUI_MODELS_PATH": str(_MODELS),
        "ENVIRONMENT": "production",
        "DISPATCH": "modal" if shares_stores(config) else "",
        "MODAL_APP": config.full_name,
        CONFIG_VARIABLE: config.model_dump_json(),
        **({"COMFYUI_PATH": "/opt/comfyui"} if config.modal.comfyui else {"ENGINE": "native"}),
        **({GPU_SNAPSHOT_VARIABLE: "1"} if config.modal.snapshot == "gpu" else {}),
    }
    return {**own, **config.env}


def volume(config: DeployConfig) -> modal.Volume:
    """Where the models lie."""
    return modal.Volume.from_name(f"{config.full_name}-models", create_if_missing=True, version=2)


def sync_volume(config: DeployConfig) -> int:
    """Bring the manifest's models onto the volume, from within a container that has it mounted."""
    from runtime.commands.models import main

    status = main(["sync"])
    volume(config).commit()
    return status


def _shared(config: DeployConfig) -> dict[str, Any]:
    named: defaultdict[str, list[str]] = defaultdict(list)
    for variable, secret in config.secrets.items():
        named[secret].append(variable)
    return {
        "volumes": {_MODELS: volume(config)},
        "secrets": [modal.Secret.from_name(name, required_keys=keys) for name, keys in named.items()],
        "region": config.region,
    }


def _dockerfile_arg(name: str) -> str:
    """The default of an ARG of Dockerfile.gpu, so that a version stands in one place."""
    text = (_ROOT / "Dockerfile.gpu").read_text(encoding="utf-8")
    found = re.search(rf"^ARG {name}=(\S+)$", text, re.MULTILINE)
    if found is None:
        raise DeployError(f"Dockerfile.gpu has no ARG {name}")
    return found.group(1)
