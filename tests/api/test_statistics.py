from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]


def test_statistics_count_the_callers_jobs(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = login("counter")
    for graph in (workflow(), workflow(1), {"1": {"class_type": "None", "inputs": {}}}):
        api.post("/workflows/execute?wait=60", json={"workflow": graph}, headers=headers)
    found = api.get("/workflows/stats", headers=headers).json()
    assert (found["jobs"], found["by_status"]) == (3, {"completed": 2, "failed": 1})
    assert found["success_rate"] == 0.6667
    assert found["duration_s"]["samples"] == 2


def test_statistics_are_of_the_time_that_is_asked_for(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = login("counter")
    before = api.get("/workflows/stats?since=2020-01-01T00:00:00&until=2020-02-01T00:00:00Z", headers=headers).json()
    assert (before["jobs"], before["success_rate"]) == (0, None)
    assert before["since"] == "2020-01-01T00:00:00.000000Z"
    backwards = api.get("/workflows/stats?since=2020-02-01T00:00:00Z&until=2020-01-01T00:00:00Z", headers=headers)
    assert (backwards.status_code, backwards.json()["code"]) == (422, "invalid_request")


def test_an_estimate_is_how_long_jobs_like_it_took(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = login("planner")
    body = {"workflow": workflow()}
    assert api.post("/workflows/estimate", json=body, headers=headers).json() == {"engine": "native", "estimate": None}
    api.post("/workflows/execute?wait=60", json=body, headers=headers)
    found = api.post("/workflows/estimate", json=body, headers=headers).json()["estimate"]
    assert found["duration_s"]["samples"] == 1
    assert found["duration_s"]["p50"] >= 0
