from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from runtime.api.build import build_api
from runtime.errors import SettingsInvalid
from runtime.settings import Settings

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]


def test_it_is_ready_once_the_stores_answer_and_the_worker_is_built(api: TestClient) -> None:
    while (answer := api.get("/health/readiness")).status_code == 503:
        assert answer.json()["parts"]["worker"] == "state_unavailable"
    assert answer.json()["parts"] == {"jobs": "ok", "documents": "ok", "files": "ok", "worker": "ok"}
    assert answer.status_code == 200


def test_the_health_of_the_worker_is_its_versions_and_what_its_engines_say(api: TestClient, login: Headers) -> None:
    health = api.get("/health/worker", headers=login()).json()
    assert health["versions"]["python"] == platform.python_version()
    assert health["engines"]["native"]["models"]["models"] == []


def test_a_worker_that_cannot_be_built_is_named(open_api: Callable[..., TestClient]) -> None:
    api = open_api(DEVICE="cuda:99")
    answer = api.get("/nodes")
    while "still loading" in answer.text:
        answer = api.get("/nodes")
    assert answer.status_code == 503
    assert "cuda:99" in api.get("/health").json()["parts"]["worker"]


def test_who_has_no_token_is_not_told_why_an_instance_is_not_ready(open_api: Callable[..., TestClient]) -> None:
    api = open_api(DEVICE="cuda:99", SECRET_KEY="0123456789abcdef" * 2)
    answer = api.get("/health")
    assert (answer.status_code, answer.json()["parts"]["worker"]) == (503, "state_unavailable")


def test_a_route_that_there_is_not_is_named(api: TestClient) -> None:
    assert api.get("/workflow/abc").json()["detail"].startswith("there is no GET /workflow/abc here; /docs and")
    answer = api.put("/health")
    assert (answer.status_code, answer.json()["detail"][:24]) == (405, "there is no PUT /health ")


def test_the_address_itself_leads_to_what_there_is(api: TestClient) -> None:
    assert api.get("/", follow_redirects=False).headers["location"] == "docs"


def test_the_node_types_are_comfyuis_object_info(api: TestClient, login: Headers) -> None:
    nodes = api.get("/nodes", headers=login()).json()
    assert nodes["EmptyImage"]["input"]["required"]["width"][0] == "INT"
    assert api.get("/nodes/EmptyImage", headers=login()).json() == {"EmptyImage": nodes["EmptyImage"]}
    assert api.get("/nodes/Nothing", headers=login()).status_code == 404


def test_models_are_listed_by_their_folder(api: TestClient, login: Headers) -> None:
    assert "checkpoints" in api.get("/models", headers=login()).json()


def test_a_body_over_the_bound_is_refused_before_it_is_parsed(api: TestClient, login: Headers) -> None:
    answer = api.post("/workflows/execute", content=b"{" * 2_000_000, headers=login())
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_a_body_of_unknown_length_is_held_to_the_bound_too(api: TestClient, login: Headers) -> None:
    for path in ("/workflows/execute", "/v2/a/run", "/auth/login", "/files/upload"):
        pieces = (b"x" * 100_000 for _ in range(30))
        headers = {
            **login(),
            "Content-Type": "multipart/form-data; boundary=b" if "upload" in path else "application/json",
        }
        assert api.post(path, content=pieces, headers=headers).status_code == 413


def test_every_answer_has_an_id_and_careful_headers(api: TestClient) -> None:
    answer = api.get("/health/liveness", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert api.get("/nowhere", headers={"X-Request-ID": "a b"}).headers["x-request-id"] != "a b"


def test_an_unknown_path_is_a_problem_too(api: TestClient) -> None:
    answer = api.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_page_of_another_origin_may_call_only_where_it_is_named(open_api: Callable[..., TestClient]) -> None:
    api = open_api(CORS_ORIGINS="https://studio.example.org", TRUSTED_HOSTS="testserver")
    named = api.get("/health/liveness", headers={"Origin": "https://studio.example.org"})
    other = api.get("/health/liveness", headers={"Origin": "https://evil.example.org"})
    assert named.headers["access-control-allow-origin"] == "https://studio.example.org"
    assert "access-control-allow-origin" not in other.headers
    assert api.get("/health/liveness", headers={"Host": "evil.example.org"}).status_code == 400


def test_production_needs_a_secret_key() -> None:
    with pytest.raises(SettingsInvalid, match="SECRET_KEY is not set"):
        build_api(Settings.from_env({"ENVIRONMENT": "production"}))


def test_a_short_secret_key_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsInvalid, match="shorter than 32 characters") as caught:
        Settings.from_env({"SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)
