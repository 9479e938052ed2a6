from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from runtime.artifacts.file_responder import FileResponder
from runtime.artifacts.file_server import FileServer
from runtime.artifacts.local import FolderArtifactStore
from runtime.artifacts.s3 import S3ArtifactStore
from runtime.artifacts.store import ArtifactStore
from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from scripts import node_servers

OpenStore = Callable[..., ArtifactStore]

_numbers = itertools.count()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at the real time, which is what a server goes by that has none of ours."""
    return ManualClock(wall=time.time())


@pytest.fixture
def open_folder(tmp_path: Path, clock: ManualClock) -> OpenStore:
    """Opens another store on the test's one folder."""

    def open_store(clock: ManualClock = clock) -> ArtifactStore:
        return FolderArtifactStore(tmp_path / "artifacts", base_url="http://unused.invalid", clock=clock)

    return open_store


@pytest.fixture
def open_served_folder(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., FolderArtifactStore]]:
    """Opens another store on the test's one folder, whose links a server answers."""
    root = tmp_path / "artifacts"
    served = FolderArtifactStore(root, base_url="http://unused.invalid")
    with FileServer(FileResponder(served, clock=clock)) as server:

        def open_store(clock: ManualClock = clock) -> FolderArtifactStore:
            return FolderArtifactStore(root, base_url=server.url, clock=clock)

        yield open_store


@pytest.fixture
def folder(open_served_folder: Callable[..., FolderArtifactStore]) -> FolderArtifactStore:
    return open_served_folder()


@pytest.fixture(scope="session")
def s3rver_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsAccess]:
    with node_servers.s3rver(tmp_path_factory.mktemp("s3rver")) as url:
        yield AwsAccess(region="us-east-1", endpoint_url=url, access_key_id="S3RVER", secret_access_key="S3RVER")


@pytest.fixture(scope="session")
def moto_access() -> AwsAccess:
    """One for all tests: the first client of a session takes a third of a second."""
    return AwsAccess(region="us-east-1", access_key_id="AKIDTEST", secret_access_key="hidden-secret")


def _opener(access: AwsAccess, clock: ManualClock) -> OpenStore:
    bucket = f"bucket-{next(_numbers)}"
    access.session.client("s3", endpoint_url=access.endpoint_url).create_bucket(Bucket=bucket)

    def open_store(clock: ManualClock = clock, prefix: str = "deployment/a") -> ArtifactStore:
        return S3ArtifactStore(bucket, prefix=prefix, access=access, clock=clock)

    return open_store


@pytest.fixture
def open_s3rver(s3rver_access: AwsAccess, clock: ManualClock) -> OpenStore:
    return _opener(s3rver_access, clock)


@pytest.fixture
def open_moto(moto_access: AwsAccess, clock: ManualClock) -> Iterator[OpenStore]:
    with mock_aws():
        yield _opener(moto_access, clock)


@pytest.fixture(params=["folder", "moto", "s3rver"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Opens another store on the test's own files, once for every backend."""
    opener: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return opener


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[ArtifactStore]:
    store = open_store()
    yield store
    store.close()


@pytest.fixture(params=["served_folder", "s3rver"])
def open_linked(request: pytest.FixtureRequest) -> OpenStore:
    """As `open_store`, on the backends whose links something answers."""
    opener: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return opener
