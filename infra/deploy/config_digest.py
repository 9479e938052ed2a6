"""What a deployment was made by, in a few short texts that it can carry: so that what differs has a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from infra.deploy.config import DeployConfig

_ROOT = Path(__file__).resolve().parents[2]
_FIELDS = ("gpus", "workers", "region", "env", "secrets", "modal")
_CODE = ("handlers", "infra", "runtime", "scripts/image", "sdk")
_FILES = ("Dockerfile.gpu", "constraints.txt", "models_manifest.yaml", "pyproject.toml")


def digests(config: DeployConfig) -> dict[str, str]:
    """A digest of each field that an app depends on, and of the bundle's code."""
    fields = config.model_dump(mode="json")
    found = {name: _digest(json.dumps(fields[name], sort_keys=True).encode()) for name in _FIELDS}
    return {**found, "code": _digest(b"".join(_code()))}


def _code() -> Iterator[bytes]:
    folders = [path for folder in _CODE for path in (_ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted([*folders, *(_ROOT / name for name in _FILES)]):
        if "__pycache__" not in path.parts:
            yield f"{path.relative_to(_ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
