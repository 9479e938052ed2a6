"""The apps that an ASGI server builds by their factories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from handlers.http_api import create_app, create_comfyui_app


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where nobody's .env lies
    monkeypatch.setenv("STORAGE_BASE_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("DEVICE", "cpu")


def test_the_api_runs_a_job(picture: dict[str, Any]) -> None:
    with TestClient(create_app()) as client:
        answer = client.post("/workflows/execute?wait=60", json={"workflow": picture})
    assert answer.json()["status"] == "completed"


def test_comfyuis_own_api_is_an_app_that_begins_and_ends_with_a_worker_of_its_own(picture: dict[str, Any]) -> None:
    with TestClient(create_comfyui_app(), base_url="http://127.0.0.1:8188") as client:
        with client.websocket_connect("ws://127.0.0.1:8188/ws?clientId=ada") as socket:
            prompt_id = client.post("/prompt", json={"prompt": picture, "client_id": "ada"}).json()["prompt_id"]
            while socket.receive_json()["type"] != "execution_success":
                pass
        assert client.get(f"/history/{prompt_id}").json()[prompt_id]["status"]["completed"] is True
        assert client.get("/workflows").status_code == 404
