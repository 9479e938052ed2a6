from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from runtime.artifacts.local import FolderArtifactStore
from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.record import JobFacts, Outcome, Status, StoredOutput, Timings
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import JobStore
from runtime.jobs.table import create_table
from scripts import node_servers

OpenStore = Callable[..., JobStore]

_numbers = itertools.count()


def _access(endpoint_url: str | None) -> AwsAccess:
    return AwsAccess(
        region="eu-west-1", endpoint_url=endpoint_url, access_key_id="AKIDTEST", secret_access_key="not-a-secret"
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def blobs(tmp_path: Path) -> FolderArtifactStore:
    """Where a store puts what is too large for an item."""
    return FolderArtifactStore(tmp_path / "artifacts", base_url="http://127.0.0.1")


@pytest.fixture(scope="session")
def dynalite_access() -> Iterator[AwsAccess]:
    with node_servers.dynalite() as url:
        yield _access(url)


@pytest.fixture(scope="session")
def moto_access() -> AwsAccess:
    return _access(None)


@pytest.fixture
def open_sqlite(tmp_path: Path, clock: ManualClock) -> Iterator[OpenStore]:
    """Opens another store on the test's one file."""
    stores: list[SqliteJobStore] = []

    def open_store(clock: ManualClock = clock) -> JobStore:
        stores.append(SqliteJobStore(tmp_path / "state" / "jobs.db", clock=clock))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def _opener(access: AwsAccess, clock: ManualClock, blobs: FolderArtifactStore) -> OpenStore:
    table = f"jobs-{next(_numbers)}"
    create_table(access.session.client("dynamodb", endpoint_url=access.endpoint_url), table)

    def open_store(clock: ManualClock = clock) -> JobStore:
        return DynamoJobStore(table, access=access, blobs=blobs, clock=clock)

    return open_store


@pytest.fixture
def open_moto(moto_access: AwsAccess, clock: ManualClock, blobs: FolderArtifactStore) -> Iterator[OpenStore]:
    """Opens another store on the test's one table, in this process."""
    with mock_aws():
        yield _opener(moto_access, clock, blobs)


@pytest.fixture
def open_dynalite(dynalite_access: AwsAccess, clock: ManualClock, blobs: FolderArtifactStore) -> OpenStore:
    """Opens another store on the test's one table, on a server."""
    return _opener(dynalite_access, clock, blobs)


@pytest.fixture(params=["sqlite", "moto", "dynalite"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Opens another store on the test's own state, once for every backend."""
    opener: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return opener


@pytest.fixture
def store(open_store: OpenStore) -> JobStore:
    return open_store()


@pytest.fixture
def facts() -> JobFacts:
    return JobFacts(
        tenant="acme", job_id="job-1", user_id="ada", request_sha256="a" * 64, workflow_sha256="b" * 64, ttl_s=3600
    )


@pytest.fixture
def completed() -> Outcome:
    """An outcome that has something in every field that a job which completes may fill."""
    output = StoredOutput(
        node_id="9",
        kind="image",
        filename="ComfyUI_00001_.png",
        key="outputs/ada/job-1/1/9_0_ComfyUI_00001_.png",
        content_type="image/png",
        size_bytes=1234,
        sha256="c" * 64,
        width=64,
        height=48,
    )
    return Outcome(
        status=Status.COMPLETED,
        engine="native",
        gpu_seconds=1.25,
        outputs=(output,),
        timings_ms=Timings(queue=1.5, execute=20.25, total=30.0, nodes={"3": 18.5, "9": 1.75}),
        cached_nodes=("4", "5"),
        seed_used={"3": 2**63 + 1},
        warnings=("node 7 is not connected",),
    )
