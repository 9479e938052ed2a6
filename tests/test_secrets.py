"""A secret of a deployment or a request stands in no log line, result, picture, record or repr."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.build import build
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.worker import Worker

SECRET = "s3cret-Value"
SETTINGS = ("BUCKET_SECRET_ACCESS_KEY", "BUCKET_ACCESS_KEY_ID", "COMFY_ORG_API_KEY")
GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
FAILING = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {"STORAGE_BASE_PATH": "data", "MODELS_PATH": "models", "COMFYUI_TEMP_PATH": "work"}
    variables = {name: str(tmp_path / part) for name, part in folders.items()}
    return Settings.from_env({"DEVICE": "cpu", **variables, **dict.fromkeys(SETTINGS, SECRET)})


@pytest.fixture
def worker(settings: Settings) -> Iterator[Worker]:
    worker = build(settings, delivery="base64")
    yield worker
    worker.close()


@pytest.mark.parametrize("name", ["comfy_org_api_key", "api_key_comfy_org"])
@pytest.mark.parametrize("workflow", [GRAPH, FAILING], ids=["completed", "failed"])
def test_a_requests_key_is_told_nobody(
    name: str, workflow: Any, worker: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    images = [{"name": "in.png", "image": "https://user:s3cret-Value@example.com/a.png?signature=s3cret-Value"}]
    given = images if workflow is FAILING else None
    request, _ = JobRequest.parse({"workflow": workflow, name: SECRET, "images": given})
    result = worker.run(request)
    pictures = [base64.b64decode(image["data"]) for image in result.images]
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    told = [caplog.text, repr(request), repr(result), json.dumps(result.to_wire())]
    assert result.status == ("failed" if workflow is FAILING else "completed")
    assert [SECRET in text for text in told] == [False] * 4
    assert [data for data in [*pictures, *kept] if SECRET.encode() in data] == []


def test_a_deployments_secrets_are_in_no_repr(settings: Settings, worker: Worker) -> None:
    assert [SECRET in text for text in (repr(settings), str(settings), repr(worker._parts))] == [False] * 3
