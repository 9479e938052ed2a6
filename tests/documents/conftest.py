from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.documents.dynamodb import DynamoDocumentStore
from runtime.documents.sqlite import SqliteDocumentStore
from runtime.documents.store import DocumentStore
from runtime.documents.table import create_documents_table
from scripts import node_servers

_numbers = itertools.count()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def dynalite_url() -> Iterator[str]:
    with node_servers.dynalite() as url:
        yield url


def _dynamo(clock: ManualClock, endpoint_url: str | None) -> DynamoDocumentStore:
    access = AwsAccess(
        region="eu-west-1", endpoint_url=endpoint_url, access_key_id="AKIDTEST", secret_access_key="not-a-secret"
    )
    table = f"documents-{next(_numbers)}"
    client = access.session.client("dynamodb", endpoint_url=endpoint_url)
    create_documents_table(client, table)
    client.close()
    return DynamoDocumentStore(table, access=access, clock=clock)


@pytest.fixture(params=["sqlite", "dynalite"])
def shared_store(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[DocumentStore]:
    """A store that several threads may use at once, as moto's DynamoDB in this process may not be."""
    if request.param == "sqlite":
        opened: DocumentStore = SqliteDocumentStore(tmp_path / "documents.db", clock=clock)
    else:
        opened = _dynamo(clock, request.getfixturevalue("dynalite_url"))
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "moto", "dynalite"])
def store(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[DocumentStore]:
    """A store with nothing in it."""
    if request.param == "sqlite":
        opened: DocumentStore = SqliteDocumentStore(tmp_path / "documents.db", clock=clock)
        yield opened
        opened.close()
    elif request.param == "dynalite":
        opened = _dynamo(clock, request.getfixturevalue("dynalite_url"))
        yield opened
        opened.close()
    else:
        with mock_aws():
            opened = _dynamo(clock, None)
            yield opened
            opened.close()


@pytest.fixture
def dynamo(clock: ManualClock, dynalite_url: str) -> Iterator[DynamoDocumentStore]:
    """A store with nothing in it, on dynalite."""
    opened = _dynamo(clock, dynalite_url)
    yield opened
    opened.close()
