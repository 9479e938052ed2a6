from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.clock import ManualClock
from runtime.documents.sqlite import SqliteDocumentStore
from runtime.documents.store import DocumentStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def documents(tmp_path: Path, clock: ManualClock) -> Iterator[DocumentStore]:
    store = SqliteDocumentStore(tmp_path / "documents.db", clock=clock)
    yield store
    store.close()
