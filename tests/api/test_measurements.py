from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]
OpenApi = Callable[..., TestClient]

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "0123456789abcdef0123456789abcdef"
HTTP = 'comfyui_serverless_http_requests_total{method="GET",route="/workflows/{execution_id}",status="404"}'


def test_jobs_caches_and_http_are_measured(open_api: OpenApi, workflow: Workflow) -> None:
    api = open_api()
    api.post("/workflows/execute?wait=60", json={"workflow": workflow()})
    api.get("/workflows/none")
    text = api.get("/metrics").text
    assert 'comfyui_serverless_jobs_ended_total{engine="native",status="completed"} 1.0' in text
    assert "comfyui_serverless_jobs_submitted_total 1.0" in text
    assert "comfyui_serverless_jobs_waiting 0.0" in text
    assert f"{HTTP} 1.0" in text
    (kept,) = [line for line in text.splitlines() if line.startswith("comfyui_serverless_node_cache_bytes ")]
    assert float(kept.split()[1]) > 0


def test_every_series_of_the_dashboard_and_the_alert_rules_is_answered(open_api: OpenApi, workflow: Workflow) -> None:
    api = open_api(COMFYUI_MODELS_PATH=str(ROOT / "models"))
    graph = json.loads((ROOT / "examples" / "text_to_image.json").read_text())
    graph["sampler"]["inputs"]["steps"] = 1
    api.post("/workflows/execute?wait=60", json={"workflow": graph})
    api.post("/workflows/execute?wait=60", json={"workflow": {"1": {"class_type": "None", "inputs": {}}}})
    answered = set(re.findall(r"^(\w+)[ {]", api.get("/metrics").text, re.MULTILINE))
    asked = set[str]()
    for file in ("grafana.json", "alerts.yaml"):
        asked |= set(re.findall(r"comfyui_serverless_\w+", (ROOT / "infra" / "monitoring" / file).read_text()))
    assert asked - answered <= {"comfyui_serverless_gpu_memory_bytes"}  # this machine may have none


def test_another_tenants_ids_never_become_labels(open_api: OpenApi) -> None:
    api = open_api()
    api.get("/nobody-declared-this")
    api.request("BREW", "/nodes")
    text = api.get("/metrics").text
    assert "nobody" not in text
    assert 'method="other",route=' in text


@pytest.mark.parametrize(
    ("given", "status"), [(None, 401), ("wrong", 401), ("the deployment's own", 200)], ids=["none", "wrong", "right"]
)
def test_where_tokens_are_asked_for_it_is_the_deployments_own(
    open_api: OpenApi, given: str | None, status: int
) -> None:
    api = open_api(SECRET_KEY=SECRET_KEY, METRICS_TOKEN="the deployment's own")
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    assert api.get("/metrics", headers=headers).status_code == status


def test_no_accounts_token_opens_what_is_of_all(api: TestClient, login: Headers) -> None:
    assert api.get("/metrics", headers=login()).status_code == 401


def test_measuring_can_be_switched_off(open_api: OpenApi) -> None:
    assert open_api(ENABLE_METRICS="false").get("/metrics").status_code == 404


def test_a_port_of_its_own_answers_without_a_token(open_api: OpenApi) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    open_api(SECRET_KEY=SECRET_KEY, METRICS_PORT=str(port))
    assert "comfyui_serverless_jobs_waiting" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
