from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]


def keep(api: TestClient, headers: dict[str, str], name: str, workflow: dict[str, Any]) -> dict[str, Any]:
    answer = api.put(f"/templates/{name}", json={"workflow": workflow, "description": "one colour"}, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_template_is_run_by_its_name(api: TestClient, login: Headers, workflow: Workflow) -> None:
    keep(api, login(), "colour", workflow())
    body = {"template": "colour", "overrides": {"width": 24}}
    result = api.post("/workflows/execute?wait=60", json=body, headers=login()).json()
    assert result["outputs"][0]["width"] == 24
    assert api.post("/workflows/validate", json=body, headers=login()).json()["valid"] is True


def test_what_is_kept_is_what_comes_back_and_what_is_put_over_it_replaces_it(
    api: TestClient, login: Headers, workflow: Workflow
) -> None:
    first = keep(api, login(), "changing", workflow(1))
    second = keep(api, login(), "changing", workflow(2))
    assert first["created_at"] == second["created_at"]
    got = api.get("/templates/changing", headers=login()).json()
    assert (got["workflow"], got["description"]) == (workflow(2), "one colour")


def test_templates_are_listed_by_name_and_deleted(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = login("keeper")
    for name in ("b", "a"):
        keep(api, headers, name, workflow(3))
    assert [each["name"] for each in api.get("/templates", headers=headers).json()["templates"]] == ["a", "b"]
    assert api.delete("/templates/a", headers=headers).status_code == 204
    assert api.get("/templates/a", headers=headers).status_code == 404
    assert api.get("/templates/b", headers=headers).json()["workflow"] == workflow(3)  # the same file as a's


def test_another_accounts_template_is_not_there(api: TestClient, login: Headers, workflow: Workflow) -> None:
    keep(api, login(), "mine", workflow())
    for answer in (
        api.get("/templates/mine", headers=login("eve")),
        api.delete("/templates/mine", headers=login("eve")),
        api.post("/workflows/execute", json={"template": "mine"}, headers=login("eve")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_request_is_of_a_workflow_or_of_a_template(api: TestClient, login: Headers, workflow: Workflow) -> None:
    answer = api.post("/workflows/execute", json={"template": "a", "workflow": workflow()}, headers=login())
    assert "a workflow or a template, not both" in answer.json()["detail"]
