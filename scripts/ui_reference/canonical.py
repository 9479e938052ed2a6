"""What results are compared by, and the templates that come with ComfyUI."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def canonical_sha256(sent: Any) -> str:
    """The SHA-256 of a workflow in API format, whatever the order of its nodes and inputs."""
    text = json.dumps(_plain(sent), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The value with whole numbers as such: JavaScript knows one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def templates() -> Iterator[tuple[str, Any]]:
    """Name and workflow of every template in the comfyui-workflow-templates package; none where it is not installed."""
    package = importlib.util.find_spec("comfyui_workflow_templates")
    if package is None or package.origin is None:
        return
    for path in sorted((Path(package.origin).parent / "templates").glob("*.json")):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(workflow, dict) and isinstance(workflow.get("nodes"), list):
            yield path.stem, workflow
