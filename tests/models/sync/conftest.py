"""A file server of many moods, and a syncer onto a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runtime.fetch.access import WebAccess
from runtime.models.sync.download import Retries
from runtime.models.sync.remote import SourceAccess
from runtime.models.sync.room import Room
from runtime.models.sync.syncer import Syncer
from runtime.models.sync.volume import Volume

sys.path.insert(0, str(Path(__file__).parent))  # for moody_server, which is no test

from moody_server import RANGE, FileServer, running


@pytest.fixture
def new_server() -> Iterator[Callable[[], FileServer]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(running(FileServer()))


@pytest.fixture
def server(new_server: Callable[[], FileServer]) -> FileServer:
    return new_server()


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    root = tmp_path / "volume"
    root.mkdir()
    return Volume(root)


@pytest.fixture
def make_syncer(volume: Volume) -> Callable[..., Syncer]:
    def make(*, limit_bytes: int | None = None, pinned: frozenset[str] = frozenset(), **access: Any) -> Syncer:
        web = access.pop("web", WebAccess(allow_private=True, connect_timeout_s=2, read_timeout_s=2))
        return Syncer(
            volume,
            SourceAccess(web=web, **access),
            room=Room(volume, limit_bytes=limit_bytes, pinned=pinned),
            connections=4,
            range_bytes=RANGE,
            retries=Retries(attempts=3, first_s=0.001),
        )

    return make


@pytest.fixture
def syncer(make_syncer: Callable[..., Syncer]) -> Syncer:
    return make_syncer()
