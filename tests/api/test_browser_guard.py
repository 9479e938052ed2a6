"""What a page of somebody else's can make a browser ask of an API that asks for no token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from runtime.api.build import build_api
from runtime.settings import Settings

HERE = "http://127.0.0.1:8000"
EVIL = "https://evil.example.org"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """What `serve` starts on a desk: without tokens, for this machine alone."""
    folder: Path = tmp_path_factory.mktemp("desk")
    env = {"STORAGE_BASE_PATH": str(folder), "DEVICE": "cpu", "CORS_ORIGINS": "https://editor.example.org"}
    app = build_api(Settings.from_env({**env, "PUBLIC_URL": HERE}), here_alone=True)
    with TestClient(app, base_url=HERE) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": HERE}, 200),
        ({"Origin": "https://editor.example.org"}, 200),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "evil.example.org"}, 403),
    ],
)
def test_a_foreign_page_neither_reads_nor_runs_jobs_of_a_desk(
    desk: TestClient, workflow: Callable[..., Any], headers: dict[str, str], status: int
) -> None:
    assert desk.get("/workflows", headers=headers).status_code == status
    sent = {"Content-Type": "text/plain", **headers}  # what a page may send without asking first
    answer = desk.post("/workflows/execute", json={"workflow": workflow()}, headers=sent)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "forbidden"


def test_a_page_shows_the_picture_of_a_link(desk: TestClient, workflow: Callable[..., Any]) -> None:
    made = desk.post("/workflows/execute?wait=60", json={"workflow": workflow()}).json()["outputs"]
    shown = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert desk.get(made[0]["url"], headers=shown).status_code == 200
    assert desk.get(made[0]["url"], headers={"Host": "tunnel.example.org"}).status_code == 200
    assert desk.post("/files/upload", headers=shown).status_code == 403


def test_where_others_reach_it_a_foreign_page_is_refused_as_well(open_api: Callable[..., TestClient]) -> None:
    api = open_api()
    assert api.get("/workflows").status_code == 200
    assert api.get("/workflows", headers={"Origin": EVIL}).status_code == 403


def test_with_tokens_it_is_the_token_that_counts(api: TestClient, login: Callable[..., dict[str, str]]) -> None:
    assert api.get("/workflows", headers={**login(), "Origin": EVIL}).status_code == 200
    assert api.get("/workflows", headers={"Origin": EVIL}).status_code == 401
