"""Every route, by everyone who may come: the whole matrix."""

from __future__ import annotations

import re
from collections.abc import Callable

import jwt
import pytest
from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]
SECRET_KEY = "0123456789abcdef0123456789abcdef"

OPEN = {
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("GET", "/health"),
    ("GET", "/health/liveness"),
    ("GET", "/health/readiness"),
    ("GET", "/files/{path}"),  # its signature is what allows it
}
OWN_TOKEN = {("GET", "/metrics")}  # the deployment's, see test_measurements.py
NEEDED = {
    ("POST", "/api-keys"): "manage",
    ("GET", "/api-keys"): "manage",
    ("DELETE", "/api-keys/{key_id}"): "manage",
    ("POST", "/workflows/execute"): "execute",
    ("POST", "/workflows/{execution_id}/cancel"): "execute",
    ("DELETE", "/workflows/{execution_id}/files"): "execute",
    ("DELETE", "/workflows/{execution_id}"): "execute",
    ("POST", "/workflows/batch"): "execute",
    ("GET", "/batches/{batch_id}"): "read",
    ("POST", "/batches/{batch_id}/cancel"): "execute",
    ("GET", "/workflows/stats"): "read",
    ("POST", "/workflows/estimate"): "read",
    ("GET", "/templates"): "read",
    ("GET", "/templates/{name}"): "read",
    ("PUT", "/templates/{name}"): "execute",
    ("DELETE", "/templates/{name}"): "execute",
    ("GET", "/workflows/{execution_id}"): "read",
    ("GET", "/workflows/{execution_id}/events"): "read",
    ("GET", "/workflows"): "read",
    ("POST", "/files/upload"): "execute",
    ("POST", "/files/presign"): "execute",
    ("GET", "/files/uploads/{file_id}"): "read",
    ("POST", "/workflows/validate"): "read",
    ("POST", "/workflows/convert"): "read",
    ("GET", "/health/worker"): "read",
    ("GET", "/nodes"): "read",
    ("GET", "/nodes/{class_type}"): "read",
    ("GET", "/models"): "read",
    ("POST", "/v2/{endpoint}/run"): "execute",
    ("POST", "/v2/{endpoint}/runsync"): "execute",
    ("POST", "/v2/{endpoint}/cancel/{job_id}"): "execute",
    ("GET", "/v2/{endpoint}/status/{job_id}"): "read",
    ("POST", "/v2/{endpoint}/status/{job_id}"): "read",
    ("GET", "/v2/{endpoint}/stream/{job_id}"): "read",
    ("POST", "/v2/{endpoint}/stream/{job_id}"): "read",
    ("GET", "/v2/{endpoint}/health"): "read",
}
NAMES = [f"{method} {path}" for method, path in NEEDED]
BODY: dict[str, object] = {
    "/v2/{endpoint}/run": {"input": {}},
    "/v2/{endpoint}/runsync": {"input": {}},
    "/api-keys": {"name": "a"},
    "/workflows/validate": {},
    "/workflows/convert": {},
}
ABOUT_ONE = [route for route in NEEDED if re.search(r"_id}|{name}", route[1]) and route != ("PUT", "/templates/{name}")]
"""The routes about something that is somebody's."""


@pytest.fixture(scope="module")
def hers(api: TestClient, login: Headers) -> dict[str, str]:
    """What is ada's, by the names that paths have for it."""
    color = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    workflow = {
        "1": {"class_type": "EmptyImage", "inputs": color},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    job = {"workflow": workflow, "job_id": "hers"}
    api.post("/workflows/execute?wait=60", json=job, headers=login())
    api.post("/workflows/batch", json={**job, "overrides": [{}]}, headers=login())
    api.put("/templates/hers", json={"workflow": workflow}, headers=login())
    picture = b"\x89PNG\r\n\x1a\n"
    file_id = api.post("/files/upload", files={"file": ("a.png", picture)}, headers=login()).json()["file_id"]
    key_id = api.post("/api-keys", json={"name": "hers"}, headers=login()).json()["key_id"]
    job_id = {"execution_id": "hers", "job_id": "hers", "batch_id": "hers"}
    return {**job_id, "name": "hers", "file_id": file_id, "key_id": key_id, "endpoint": "e"}


def ask(api: TestClient, route: tuple[str, str], headers: dict[str, str]) -> int:
    method, path = route
    named = path.format(
        key_id="k",
        execution_id="none",
        file_id="f",
        class_type="EmptyImage",
        endpoint="e",
        job_id="j",
        batch_id="b",
        name="t",
    )
    return api.request(method, named, json=BODY.get(path), headers=headers).status_code


def test_every_route_is_in_the_matrix(api: TestClient) -> None:
    documented = api.get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in documented.items() for method in methods}
    hidden = {
        ("POST", "/v2/{endpoint}/status/{job_id}"),
        ("POST", "/v2/{endpoint}/stream/{job_id}"),
        ("GET", "/files/{path}"),
    }
    assert routes | hidden == OPEN | OWN_TOKEN | NEEDED.keys()


@pytest.mark.parametrize("route", NEEDED, ids=NAMES)
def test_without_a_token_nothing_is_answered(api: TestClient, route: tuple[str, str]) -> None:
    assert ask(api, route, {}) == 401


@pytest.mark.parametrize("route", NEEDED, ids=NAMES)
@pytest.mark.parametrize("token", ["forged", "csk_t_1_2", "eyJhbGciOiJub25lIn0.e30."])
def test_a_wrong_token_is_none(api: TestClient, route: tuple[str, str], token: str) -> None:
    assert ask(api, route, {"Authorization": f"Bearer {token}"}) == 401


@pytest.mark.parametrize("route", NEEDED, ids=NAMES)
def test_an_expired_token_is_none(api: TestClient, route: tuple[str, str]) -> None:
    token = jwt.encode({"sub": "ada", "iat": 1, "exp": 2}, SECRET_KEY, algorithm="HS256")
    assert ask(api, route, {"Authorization": f"Bearer {token}"}) == 401


@pytest.mark.parametrize("route", ABOUT_ONE, ids=lambda route: " ".join(route))
def test_what_is_another_accounts_is_not_there_though_its_name_is_known(
    api: TestClient, login: Headers, hers: dict[str, str], route: tuple[str, str]
) -> None:
    method, path = route
    assert api.request(method, path.format(**hers), json=BODY.get(path), headers=login("eve")).status_code == 404


@pytest.mark.parametrize("route", NEEDED, ids=NAMES)
def test_a_key_without_the_scope_is_forbidden(api: TestClient, key: Headers, route: tuple[str, str]) -> None:
    others = {"read", "execute", "manage"} - {NEEDED[route]}
    assert ask(api, route, key(*others)) == 403


@pytest.mark.parametrize("route", NEEDED, ids=NAMES)
def test_a_key_with_the_scope_comes_through(api: TestClient, key: Headers, route: tuple[str, str]) -> None:
    assert ask(api, route, key(NEEDED[route])) not in (401, 403, 500)


@pytest.mark.parametrize("route", sorted(OPEN), ids=lambda route: " ".join(route))
def test_what_is_open_asks_for_no_token(api: TestClient, route: tuple[str, str]) -> None:
    assert ask(api, (route[0], route[1].replace("{path}", "a")), {}) not in (401, 500)


def test_a_key_cannot_make_a_key_that_allows_more(api: TestClient, key: Headers) -> None:
    answer = api.post("/api-keys", json={"name": "more", "scopes": ["execute"]}, headers=key("manage"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_refused_token_says_how_to_log_in(api: TestClient) -> None:
    answer = api.get("/workflows")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_account_is_made_used_refreshed_and_left(api: TestClient) -> None:
    login = {"email": "round@example.org", "password": "correct horse battery"}
    assert api.post("/auth/register", json=login).status_code == 201
    tokens = api.post("/auth/login", json=login).json()
    tokens = api.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    assert api.get("/workflows", headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code == 200
    assert api.post("/auth/logout", json={"refresh_token": tokens["refresh_token"]}).status_code == 204
    assert api.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 401


def test_a_wrong_password_is_never_shown(api: TestClient) -> None:
    answer = api.post("/auth/register", json={"email": "a@b.org", "password": ["hunter2hunter2"]})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


def test_without_a_secret_key_the_api_is_open_and_has_no_accounts(open_api: Callable[..., TestClient]) -> None:
    api = open_api()
    assert api.get("/workflows").status_code == 200
    assert api.post("/auth/login", json={"email": "a@b.org", "password": "x" * 10}).status_code == 404


def test_limits_are_counted_for_each_key(open_api: Callable[..., TestClient]) -> None:
    api = open_api(SECRET_KEY="0123456789abcdef0123456789abcdef", RATE_LIMIT_PER_DAY="2", REGISTRATION="true")
    body = {"email": "a@b.org", "password": "correct horse battery"}
    headers = {"Authorization": f"Bearer {api.post('/auth/register', json=body).json()['access_token']}"}
    answers = [api.get("/workflows", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0


def test_registration_can_be_closed(open_api: Callable[..., TestClient]) -> None:
    api = open_api(SECRET_KEY="0123456789abcdef0123456789abcdef", REGISTRATION="false", API_DOCS="false")
    body = {"email": "a@b.org", "password": "correct horse battery"}
    assert api.post("/auth/register", json=body).status_code == 403
    assert api.get("/openapi.json").status_code == 404
