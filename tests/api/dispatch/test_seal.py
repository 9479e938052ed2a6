from __future__ import annotations

import pytest

from runtime.api.dispatch.seal import Seal
from runtime.errors import InvalidRequest
from runtime.jobs.record import JobKey

SECRET = "0123456789abcdef0123456789abcdef"
KEY = JobKey("acme", "job-1")


def test_what_is_sealed_is_read_with_its_tenant() -> None:
    seal = Seal(SECRET, tenant="default")
    assert seal.read(seal.write(KEY)) == ({"job_id": "job-1"}, "acme")


@pytest.mark.parametrize("change", [{"tenant": "other"}, {"job_id": "job-2"}, {"proof": "0" * 64}, {"proof": "é"}])
def test_what_was_changed_on_the_way_is_refused(change: dict[str, str]) -> None:
    seal = Seal(SECRET, tenant="default")
    with pytest.raises(InvalidRequest, match="SECRET_KEY: both sides need the same"):
        seal.read({**seal.write(KEY), **change})


def test_a_worker_without_the_secret_believes_no_proof() -> None:
    with pytest.raises(InvalidRequest):
        Seal(None, tenant="default").read(Seal(SECRET, tenant="default").write(KEY))


def test_a_client_names_no_tenant() -> None:
    data = {"workflow": {}, "tenant": "acme"}
    assert Seal(SECRET, tenant="default").read(data) == (data, None)


def test_without_a_secret_only_the_deployments_own_jobs_are_sent() -> None:
    seal = Seal(None, tenant="acme")
    assert seal.write(KEY) == {"job_id": "job-1"}
    with pytest.raises(InvalidRequest, match="only sent elsewhere where SECRET_KEY is set"):
        seal.write(JobKey("other", "job-1"))
