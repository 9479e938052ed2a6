from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]
SETS = [{"1.color": 1}, {"1.color": 2}, {"width": 32}]


def ended(api: TestClient, headers: dict[str, str], batch_id: str) -> dict[str, Any]:
    """The batch once its last job, which runs last, has ended."""
    batch: dict[str, Any] = api.get(f"/batches/{batch_id}", headers=headers).json()
    api.get(f"/workflows/{batch['jobs'][-1]['execution_id']}/events", headers=headers)
    batch = api.get(f"/batches/{batch_id}", headers=headers).json()
    return batch


def test_each_set_of_overrides_is_a_job_and_one_state_tells_of_all(
    api: TestClient, login: Headers, workflow: Workflow
) -> None:
    answer = api.post("/workflows/batch", json={"workflow": workflow(), "overrides": SETS}, headers=login())
    batch_id = answer.json()["batch_id"]
    assert (answer.status_code, answer.headers["location"]) == (202, f"/batches/{batch_id}")
    batch = ended(api, login(), batch_id)
    assert (batch["status"], batch["by_status"]) == ("completed", {"completed": 3})
    jobs = [api.get(f"/workflows/{job['execution_id']}", headers=login()).json() for job in batch["jobs"]]
    assert len({job["outputs"][0]["sha256"] for job in jobs}) == 3
    assert jobs[2]["outputs"][0]["width"] == 32


def test_the_same_batch_again_is_the_same_batch_and_another_is_refused(
    api: TestClient, login: Headers, workflow: Workflow
) -> None:
    body = {"workflow": workflow(5), "overrides": SETS}
    headers = {**login(), "Idempotency-Key": "all-at-once"}
    first, second = (api.post("/workflows/batch", json=body, headers=headers).json() for _ in range(2))
    assert first["batch_id"] == second["batch_id"] == "all-at-once"
    assert first["created_at"] == second["created_at"]
    other = api.post("/workflows/batch", json={**body, "overrides": SETS[:1]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([], "0 sets; expected 1 to 200"),
        ([{}] * 201, "201 sets"),
        ({}, "a list of objects"),
        ([{}, {"1.colour": 1}], "set 1: overrides: '1.colour'"),
    ],
    ids=["none", "many", "no list", "a wrong one"],
)
def test_a_batch_with_something_wrong_is_refused_whole(
    api: TestClient, login: Headers, workflow: Workflow, sets: Any, said: str
) -> None:
    headers = login("careful")
    answer = api.post("/workflows/batch", json={"workflow": workflow(), "overrides": sets}, headers=headers)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert api.get("/workflows", headers=headers).json()["jobs"] == []


def test_one_job_that_fails_is_told_by_the_state_of_all(api: TestClient, login: Headers, workflow: Workflow) -> None:
    body = {"workflow": workflow(), "overrides": [{}, {"width": "wide"}]}
    batch_id = api.post("/workflows/batch", json=body, headers=login()).json()["batch_id"]
    batch = ended(api, login(), batch_id)
    assert (batch["status"], batch["by_status"]) == ("failed", {"completed": 1, "failed": 1})


def test_a_cancelled_batch_leaves_no_job_at_work(api: TestClient, login: Headers, workflow: Workflow) -> None:
    body = {"workflow": workflow(), "overrides": [{"1.color": number} for number in range(20)]}
    batch_id = api.post("/workflows/batch", json=body, headers=login()).json()["batch_id"]
    api.post(f"/batches/{batch_id}/cancel", headers=login())
    batch = ended(api, login(), batch_id)
    assert set(batch["by_status"]) <= {"completed", "cancelled"}


def test_another_accounts_batch_is_not_there(api: TestClient, login: Headers, workflow: Workflow) -> None:
    body = {"workflow": workflow(), "overrides": [{}], "job_id": "hers"}
    assert api.post("/workflows/batch", json=body, headers=login()).status_code == 202
    assert api.get("/batches/hers", headers=login("eve")).status_code == 404
    assert api.post("/batches/hers/cancel", headers=login("eve")).status_code == 404
