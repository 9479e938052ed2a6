from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from runtime.api.build import build_api
from runtime.clock import ManualClock
from runtime.documents.sqlite import SqliteDocumentStore
from runtime.documents.store import DocumentStore
from runtime.settings import Settings

SECRET_KEY = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse battery"

Login = Callable[..., dict[str, str]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def documents(tmp_path: Path, clock: ManualClock) -> Iterator[DocumentStore]:
    store = SqliteDocumentStore(tmp_path / "documents.db", clock=clock)
    yield store
    store.close()


@pytest.fixture(scope="module")
def open_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., TestClient]]:
    """`open_api(NAME=value, ...)`: a client of an API with a worker of its own, by these variables."""
    with ExitStack() as life:

        def start(**env: str) -> TestClient:
            folder = tmp_path_factory.mktemp("api")
            given = {"STORAGE_BASE_PATH": str(folder), "DEVICE": "cpu", "PUBLIC_URL": "http://testserver", **env}
            client = TestClient(build_api(Settings.from_env(given)), raise_server_exceptions=False)
            return life.enter_context(client)

        yield start


@pytest.fixture(scope="module")
def api(open_api: Callable[..., TestClient]) -> TestClient:
    """An API that asks for tokens."""
    return open_api(SECRET_KEY=SECRET_KEY, MAX_FILE_SIZE="200000", MAX_REQUEST_SIZE="100000")


@pytest.fixture(scope="module")
def login(api: TestClient) -> Login:
    """`login("ada")`: the headers of an account of that name, made on first use."""
    known: dict[str, dict[str, str]] = {}

    def headers(name: str = "ada") -> dict[str, str]:
        if name not in known:
            body = {"email": f"{name}@example.org", "password": PASSWORD}
            token = api.post("/auth/register", json=body).json()["access_token"]
            known[name] = {"Authorization": f"Bearer {token}"}
        return known[name]

    return headers


@pytest.fixture(scope="module")
def key(api: TestClient, login: Login) -> Callable[..., dict[str, str]]:
    """`key("read", ...)`: the headers of a key of ada's with these scopes."""

    def headers(*scopes: str) -> dict[str, str]:
        answer = api.post("/api-keys", json={"name": "test", "scopes": scopes}, headers=login())
        return {"X-API-Key": answer.json()["key"]}

    return headers


def graph(color: int = 0xFF0000, **more: Any) -> dict[str, Any]:
    """A workflow that makes one picture of one colour."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        **more,
    }


@pytest.fixture(scope="module")
def workflow() -> Callable[..., dict[str, Any]]:
    return graph
