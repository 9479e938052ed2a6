"""What browsers may be made to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from runtime.api.build import build_api
from runtime.comfyui_api.app import build_comfyui_app
from runtime.settings import Settings

Clients = tuple[TestClient, TestClient]
HERE = "http://127.0.0.1:8188"


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A deployment without tokens, called by its own name."""
    env = {"CORS_ORIGINS": "https://editor.example.org", "TRUSTED_HOSTS": "desk.example.org,*.lan", "DEVICE": "cpu"}
    folder: Path = tmp_path_factory.mktemp("guard")
    api = build_api(Settings.from_env({"STORAGE_BASE_PATH": str(folder), **env}))
    with TestClient(api), TestClient(build_comfyui_app(api.state.parts), base_url=HERE) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": HERE}, 200),
        ({"Origin": "https://editor.example.org"}, 200),
        ({"Origin": "https://evil.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Host": "desk.example.org"}, 200),
        ({"Host": "gpu.lan:8188"}, 200),
        ({"Host": "evil.example.org"}, 403),
        ({"Host": "lan"}, 403),
        ({"Host": "192.0.2.1"}, 403),
        ({"Host": "a@127.0.0.1"}, 403),
    ],
)
def test_foreign_pages_and_names_are_refused(open_app: TestClient, headers: dict[str, str], status: int) -> None:
    assert open_app.get("/queue", headers=headers).status_code == status
    assert open_app.post("/interrupt", headers=headers).status_code == status


def test_a_foreign_page_opens_no_websocket(open_app: TestClient) -> None:
    headers = {"Origin": "https://evil.example.org"}
    with pytest.raises(WebSocketDisconnect), open_app.websocket_connect("/ws", headers=headers):
        pass


def test_with_tokens_every_name_is_answered_but_no_foreign_page(guarded: Clients, key: Callable[..., str]) -> None:
    headers = {"Authorization": f"Bearer {key('ada')}", "Host": "gpu.example.org"}
    assert guarded[1].get("/queue", headers=headers).status_code == 200
    assert guarded[1].get("/queue", headers={**headers, "Origin": "https://gpu.example.org"}).status_code == 200
    assert guarded[1].get("/queue", headers={**headers, "Origin": "https://evil.example.org"}).status_code == 403
