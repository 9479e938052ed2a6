"""Every route, by everyone who may come, and what another tenant's names lead to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

Clients = tuple[TestClient, TestClient]
Key = Callable[..., str]

NEEDED = {
    ("POST", "/prompt"): "execute",
    ("GET", "/prompt"): "read",
    ("GET", "/queue"): "read",
    ("POST", "/queue"): "execute",
    ("GET", "/history"): "read",
    ("GET", "/history/{prompt_id}"): "read",
    ("POST", "/history"): "execute",
    ("POST", "/interrupt"): "execute",
    ("GET", "/view"): "read",
    ("HEAD", "/view"): "read",
    ("POST", "/upload/image"): "execute",
    ("POST", "/upload/mask"): "execute",
    ("GET", "/object_info"): "read",
    ("GET", "/object_info/{class_type}"): "read",
    ("GET", "/models"): "read",
    ("GET", "/models/{folder}"): "read",
    ("GET", "/experiment/models"): "read",
    ("GET", "/experiment/models/{folder}"): "read",
    ("GET", "/embeddings"): "read",
    ("GET", "/system_stats"): "read",
    ("GET", "/features"): "read",
    ("GET", "/extensions"): "read",
    ("GET", "/i18n"): "read",
    ("GET", "/workflow_templates"): "read",
    ("GET", "/users"): "read",
    ("POST", "/users"): "execute",
    ("GET", "/settings"): "read",
    ("POST", "/settings"): "execute",
    ("GET", "/settings/{name}"): "read",
    ("POST", "/settings/{name}"): "execute",
    ("GET", "/userdata"): "read",
    ("GET", "/v2/userdata"): "read",
    ("GET", "/userdata/{path}"): "read",
    ("POST", "/userdata/{path}"): "execute",
    ("DELETE", "/userdata/{path}"): "execute",
    ("POST", "/free"): "manage",
}
PAGE = {("GET", "/"), ("GET", "/index.html")}
"""What a browser opens first; nothing under `/api` is a twin of it."""
ROUTES = [(method, f"{prefix}{path}", scope) for (method, path), scope in NEEDED.items() for prefix in ("", "/api")]
NAMES = [f"{method} {path}" for method, path, _ in ROUTES]
PICTURE = b"\x89PNG\r\n\x1a\n" + b"picture"


Keys = dict[str, str]


@pytest.fixture(scope="module")
def keys(key: Key) -> Keys:
    """A key with each scope alone, and one with the others."""
    scopes = {"read", "execute", "manage"}
    alone = {scope: key("ada", scope) for scope in scopes}
    return {**alone, **{f"not {scope}": key("ada", *sorted(scopes - {scope})) for scope in scopes}}


def ask(client: TestClient, method: str, path: str, headers: dict[str, str]) -> int:
    named = path.format(prompt_id="none", class_type="EmptyImage", folder="loras", name="a", path="a.json")
    return client.request(method, named, headers=headers).status_code


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_is_in_the_matrix(guarded: Clients) -> None:
    documented = guarded[1].app.openapi()["paths"]
    found = {(method.upper(), path) for path, methods in documented.items() for method in methods}
    assert found == {(method, path) for method, path, _ in ROUTES} | PAGE


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES, ids=NAMES)
def test_without_a_token_nothing_is_answered(guarded: Clients, method: str, path: str, scope: str) -> None:
    assert ask(guarded[1], method, path, {}) == 401


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES, ids=NAMES)
@pytest.mark.parametrize("header", ["Bearer csk_t_1_2", "Basic YTpi"])
def test_a_wrong_token_is_none(guarded: Clients, method: str, path: str, scope: str, header: str) -> None:
    assert ask(guarded[1], method, path, {"Authorization": header}) == 401


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES, ids=NAMES)
def test_a_key_opens_what_its_scope_says(guarded: Clients, keys: Keys, method: str, path: str, scope: str) -> None:
    assert ask(guarded[1], method, path, bearer(keys[f"not {scope}"])) == 403
    nothing_made = path.endswith("/users") and method == "POST"  # whoever asks
    assert ask(guarded[1], method, path, bearer(keys[scope])) not in (401, 500, *([] if nothing_made else [403]))


def test_a_browser_is_asked_for_a_key_and_may_give_it_as_a_password(guarded: Clients, key: Key) -> None:
    _, comfyui = guarded
    assert comfyui.get("/queue").headers["www-authenticate"].startswith("Basic ")
    given = base64.b64encode(f"anybody:{key('ada')}".encode()).decode()
    assert comfyui.get("/queue", headers={"Authorization": f"Basic {given}"}).status_code == 200


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer forged"}], ids=["no token", "a wrong one"])
def test_a_websocket_needs_a_token_too(guarded: Clients, path: str, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), guarded[1].websocket_connect(path, headers=headers):
        pass


@pytest.fixture(scope="module")
def adas(guarded: Clients, key: Key, prompt: Callable[..., Any]) -> str:
    """A prompt of ada's that has ended, and an upload `secret.png`."""
    headers, comfyui = bearer(key("ada")), guarded[1]
    with comfyui.websocket_connect("/ws?clientId=ada", headers=headers) as told:
        id: str = comfyui.post("/prompt", json={"prompt": prompt(), "client_id": "ada"}, headers=headers).json()[
            "prompt_id"
        ]
        while told.receive_json()["type"] != "execution_success":
            continue
    assert comfyui.post("/userdata/secret.json", content=b"{}", headers=headers).status_code == 200
    assert comfyui.post("/settings", json={"secret": 1}, headers=headers).status_code == 200
    files = {"image": ("secret.png", PICTURE)}
    assert comfyui.post("/upload/image", files=files, headers=headers).status_code == 200
    return id


def test_what_a_tenant_made_is_theirs(guarded: Clients, key: Key, adas: str) -> None:
    headers, comfyui = bearer(key("ada")), guarded[1]
    (saved,) = comfyui.get(f"/history/{adas}", headers=headers).json()[adas]["outputs"]["2"]["images"]
    assert comfyui.get("/view", params=saved, headers=headers).status_code == 200
    assert comfyui.get("/view?filename=secret.png&type=input", headers=headers).content == PICTURE


def test_nobody_else_sees_it(guarded: Clients, key: Key, adas: str) -> None:
    headers, comfyui = bearer(key("eve")), guarded[1]
    saved = {"filename": "ComfyUI_00001_.png", "subfolder": adas, "type": "output"}
    assert comfyui.get(f"/history/{adas}", headers=headers).json() == {}
    assert comfyui.get("/history", headers=headers).json() == {}
    assert comfyui.get("/view", params=saved, headers=headers).status_code == 404
    assert comfyui.get("/view?filename=secret.png&type=input", headers=headers).status_code == 404
    assert "secret.png" not in comfyui.get("/object_info/LoadImage", headers=headers).text
    assert comfyui.get("/userdata/secret.json", headers=headers).status_code == 404
    assert comfyui.get("/userdata?dir=.", headers=headers).status_code == 404
    assert comfyui.get("/settings", headers=headers).json() == {}


@pytest.mark.parametrize("name", ["secret.png", "{id}/ComfyUI_00001_.png [output]"], ids=["an upload", "an output"])
def test_nobody_else_loads_it(guarded: Clients, key: Key, adas: str, name: str) -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name.format(id=adas)}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    answer = guarded[1].post("/prompt", json={"prompt": graph}, headers=bearer(key("eve")))
    assert (answer.status_code, list(answer.json()["node_errors"])) == (400, ["1"])


def test_nobody_else_forgets_or_interrupts_it(guarded: Clients, key: Key, adas: str) -> None:
    comfyui = guarded[1]
    for path, body in (("/history", {"delete": [adas], "clear": True}), ("/interrupt", {"prompt_id": adas})):
        assert comfyui.post(path, json=body, headers=bearer(key("eve"))).status_code == 200
    assert list(comfyui.get("/history", headers=bearer(key("ada"))).json()) == [adas]


def test_nobody_else_hears_of_it(guarded: Clients, key: Key, prompt: Callable[..., Any]) -> None:
    comfyui = guarded[1]
    with (
        comfyui.websocket_connect("/ws?clientId=same", headers=bearer(key("ada"))) as adas,
        comfyui.websocket_connect("/ws?clientId=same", headers=bearer(key("eve"))) as eves,
    ):
        ids = [
            comfyui.post("/prompt", json={"prompt": prompt(9), "client_id": "same"}, headers=bearer(key(name))).json()[
                "prompt_id"
            ]
            for name in ("ada", "eve")
        ]
        heard = [prompts_heard(of) for of in (adas, eves)]
    assert heard == [{ids[0]}, {ids[1]}]


def prompts_heard(of: Any) -> set[str]:
    """The prompts that a websocket tells of, until one of them is done."""
    heard = set()
    while (message := of.receive_json())["type"] != "execution_success":
        heard |= {message["data"]["prompt_id"]} if "prompt_id" in message["data"] else set()
    return heard
