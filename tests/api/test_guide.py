"""The terms of clients that were written for the guide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]

WORKFLOW = {
    "nodes": {
        "1": {
            "id": "1",
            "class_type": "EmptyImage",
            "inputs": [
                {"name": name, "type": "INT", "value": value, "required": True}
                for name, value in {"width": 16, "height": 8, "batch_size": 1, "color": 255}.items()
            ],
        },
        "2": {
            "id": "2",
            "class_type": "SaveImage",
            "inputs": [
                {"name": "images", "type": "IMAGE", "value": ["1", 0], "required": True},
                {"name": "filename_prefix", "type": "STRING", "value": "a", "required": False},
            ],
        },
    }
}


def test_its_client_registers_executes_and_gets_its_picture(api: TestClient) -> None:
    account = {"username": "guide-reader", "email": "guide@example.org", "password": "correct horse battery"}
    assert api.post("/auth/register", json=account).status_code == 201
    tokens = api.post("/auth/login", json={"username": "Guide-Reader", "password": account["password"]}).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = api.post("/workflows/execute", json={"workflow": WORKFLOW, "priority": "high"}, headers=headers)
    told = answer.json()
    assert answer.status_code == 200
    assert told["status"] in ("pending", "running", "completed")
    api.get(f"/workflows/{told['execution_id']}/events", headers=headers)
    ended = api.get(f"/workflows/{told['execution_id']}", headers=headers).json()
    assert (ended["status"], len(ended["outputs"])) == ("completed", 1)


@pytest.mark.parametrize("workflow", [{}, {"nodes": {}}], ids=["api", "guide"])
def test_an_empty_workflow_is_400_with_an_error_that_says_validation(
    api: TestClient, login: Headers, workflow: dict[str, Any]
) -> None:
    answer = api.post("/workflows/execute", json={"workflow": workflow}, headers=login())
    assert answer.status_code == 400
    assert "validation" in answer.json()["error"]


def test_without_a_token_it_is_401(api: TestClient) -> None:
    assert api.post("/workflows/execute", json={"workflow": WORKFLOW}).status_code == 401


def test_a_name_that_is_taken_is_refused_and_opens_nothing_for_another(api: TestClient) -> None:
    account = {"username": "once", "email": "first@example.org", "password": "correct horse battery"}
    assert api.post("/auth/register", json=account).status_code == 201
    again = api.post("/auth/register", json={**account, "email": "second@example.org"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    for name, password in (("once", "wrong wrong wrong"), ("nobody", account["password"])):
        assert api.post("/auth/login", json={"username": name, "password": password}).status_code == 401
