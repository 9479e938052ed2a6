from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from runtime.api.errors import RateLimited
from runtime.api.quotas import Quotas
from runtime.clock import ManualClock
from runtime.documents.store import DocumentStore
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore

Run = Callable[..., None]


@pytest.fixture
def jobs(tmp_path: Path, clock: ManualClock) -> Any:
    store = SqliteJobStore(tmp_path / "jobs.db", clock=clock)
    yield store
    store.close()


@pytest.fixture
def quotas(documents: DocumentStore, jobs: SqliteJobStore, clock: ManualClock) -> Quotas:
    return Quotas(documents, jobs, clock=clock, max_running=2, max_gpu_s_per_day=10)


def facts(job_id: str, tenant: str = "acme") -> JobFacts:
    return JobFacts(tenant=tenant, job_id=job_id, request_sha256="", workflow_sha256="")


def begin(quotas: Quotas, jobs: SqliteJobStore, job_id: str) -> Claim:
    quotas.admit("acme", [job_id])
    claim = jobs.claim(facts(job_id), worker_id="w")
    assert isinstance(claim, Claim)
    return claim


def test_an_account_has_so_many_jobs_at_work_until_one_ends(quotas: Quotas, jobs: SqliteJobStore) -> None:
    first, _ = begin(quotas, jobs, "1"), begin(quotas, jobs, "2")
    with pytest.raises(RateLimited, match="2 jobs of this account wait or run; 2 may"):
        quotas.admit("acme", ["3"])
    quotas.admit("acme", ["2"])  # the same job again is not another
    quotas.admit("other", ["3"])
    jobs.finish(first, Outcome(status=Status.FAILED))
    quotas.admit("acme", ["3"])


def test_jobs_that_are_let_in_at_once_count_before_they_are_kept(quotas: Quotas, clock: ManualClock) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(quotas.admit, "acme", [str(number)]) for number in range(8)]
    assert sum(one.exception() is None for one in asked) == 2
    clock.advance(60)
    quotas.admit("acme", ["9"])


def test_a_batch_is_let_in_whole_or_not(quotas: Quotas, jobs: SqliteJobStore) -> None:
    begin(quotas, jobs, "1")
    with pytest.raises(RateLimited):
        quotas.admit("acme", ["2", "3"])
    begin(quotas, jobs, "2")


def test_gpu_seconds_are_bounded_until_midnight(quotas: Quotas, jobs: SqliteJobStore, clock: ManualClock) -> None:
    for number in range(2):
        jobs.finish(begin(quotas, jobs, str(number)), Outcome(status=Status.COMPLETED, gpu_seconds=6))
    with pytest.raises(RateLimited, match="has used 12 GPU seconds today; 10 may") as refused:
        quotas.admit("acme", ["2"])
    left = 86_400 - clock.wall() % 86_400
    assert left < refused.value.retry_after_s <= left + 1
    clock.advance(refused.value.retry_after_s)
    quotas.admit("acme", ["2"])


def test_a_batch_that_is_sent_again_counts_no_job_twice(open_api: Callable[..., TestClient]) -> None:
    api = open_api(MAX_RUNNING_JOBS="5", MAX_GPU_SECONDS_PER_DAY="1000")
    color = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": color},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    body = {"workflow": graph, "overrides": [{"color": number} for number in range(4)], "job_id": "again"}
    for _ in range(3):
        assert api.post("/workflows/batch", json=body).status_code == 202
        api.get("/workflows/again-3/events")
    assert api.get("/batches/again").json()["by_status"] == {"completed": 4}


def test_a_refusal_is_429_and_says_when_to_ask_again(open_api: Callable[..., TestClient]) -> None:
    api = open_api(MAX_RUNNING_JOBS="1")
    body = {"workflow": {"1": {"class_type": "EmptyImage", "inputs": {}}}, "overrides": [{}, {}]}
    answer = api.post("/workflows/batch", json=body)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0
