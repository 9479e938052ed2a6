"""What goes to make room, and what never does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from moody_server import BODY, FileServer, fetch, wanted

from runtime.errors import ModelMissing, StorageUnavailable
from runtime.models.sync.room import Room
from runtime.models.sync.syncer import Syncer
from runtime.models.sync.volume import USE_LEASE_S, Volume

SIZE = 1000
NO_PART = Path("/no/part")


def put(volume: Volume, path: str, *, minutes_ago: float, fetched: bool = True, pinned: bool = False) -> None:
    """A model of SIZE bytes that was last used some time ago."""
    file = volume.file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * SIZE)
    volume.remember(path, sha256=hashlib.sha256(b"x" * SIZE).hexdigest(), source="", fetched=fetched, pinned=pinned)
    at = volume.now() - minutes_ago * 60
    os.utime(volume.root / ".volume" / "records" / f"{path}.json", (at, at))


def there(volume: Volume) -> set[str]:
    return {path.stem for path in (volume.root / "loras").iterdir()}


def make(volume: Volume, size: int, *, limit: int, pinned: frozenset[str] = frozenset()) -> None:
    Room(volume, limit_bytes=limit, pinned=pinned).make(size, part=NO_PART, what="new.pt")


def test_what_was_used_longest_ago_goes_first_and_no_more_than_needed(volume: Volume) -> None:
    for name, minutes in (("b", 200), ("a", 300), ("c", 100)):
        put(volume, f"loras/{name}.pt", minutes_ago=minutes)
    make(volume, SIZE, limit=3 * SIZE)
    assert there(volume) == {"b", "c"}
    assert volume.record("loras/a.pt") is None


def test_nothing_goes_while_there_is_room(volume: Volume) -> None:
    put(volume, "loras/a.pt", minutes_ago=300)
    make(volume, SIZE, limit=2 * SIZE)
    assert there(volume) == {"a"}


def test_what_is_pinned_in_use_or_put_there_by_hand_never_goes(volume: Volume) -> None:
    put(volume, "loras/pinned.pt", minutes_ago=900, pinned=True)
    put(volume, "loras/named.pt", minutes_ago=900)
    put(volume, "loras/used.pt", minutes_ago=USE_LEASE_S / 60 - 1)
    put(volume, "loras/mine.pt", minutes_ago=900, fetched=False)
    put(volume, "loras/old.pt", minutes_ago=20)
    make(volume, SIZE, limit=5 * SIZE, pinned=frozenset({"loras/named.pt"}))
    assert there(volume) == {"pinned", "named", "used", "mine"}


def test_where_no_room_can_be_made_nothing_goes_and_it_is_told(volume: Volume) -> None:
    put(volume, "loras/a.pt", minutes_ago=300)
    put(volume, "loras/b.pt", minutes_ago=1)
    with pytest.raises(StorageUnavailable, match=r"new\.pt needs 0\.00 GB on the models volume"):
        make(volume, 3 * SIZE, limit=3 * SIZE)
    assert there(volume) == {"a", "b"}


def test_more_than_the_disk_has_is_refused(volume: Volume) -> None:
    with pytest.raises(StorageUnavailable, match="more than there is room for"):
        Room(volume, limit_bytes=None, pinned=frozenset()).make(1 << 60, part=NO_PART, what="huge")


def test_what_another_worker_is_fetching_is_counted_as_taken(volume: Volume) -> None:
    free = volume.free_bytes(apart_from=NO_PART)
    part = volume.root / ".a.pt.part"
    with part.open("wb") as file:
        file.truncate(1 << 40)
    assert volume.free_bytes(apart_from=NO_PART) < free - (1 << 39)
    assert volume.free_bytes(apart_from=part) > free - (1 << 30)


def test_a_model_that_comes_into_use_while_it_is_removed_stays(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    put(volume, "loras/a.pt", minutes_ago=300)
    replace = os.replace

    def replace_and_use(source: Path, target: Path) -> None:
        replace(source, target)
        if str(target).endswith(".evicted"):
            volume.touch("loras/a.pt")

    monkeypatch.setattr(os, "replace", replace_and_use)
    with pytest.raises(StorageUnavailable, match="came into use"):
        make(volume, SIZE, limit=SIZE)
    assert there(volume) == {"a"}


def test_a_model_whose_lock_is_held_stays(volume: Volume) -> None:
    put(volume, "loras/a.pt", minutes_ago=300)
    with volume.lock("loras/a.pt").hold_if_free(), pytest.raises(StorageUnavailable):
        make(volume, SIZE, limit=SIZE)
    assert there(volume) == {"a"}


def test_what_killed_workers_left_goes_before_any_model(volume: Volume) -> None:
    put(volume, "loras/a.pt", minutes_ago=300)
    left = [volume.file(f"loras/.{name}") for name in ("b.pt.part", "c.pt.evicted")]
    fresh = volume.file("loras/.d.pt.part")
    for file in (*left, fresh):
        file.write_bytes(b"x" * SIZE)
    for file in left:
        os.utime(file, (volume.now() - 2 * USE_LEASE_S,) * 2)
    make(volume, SIZE, limit=3 * SIZE)
    assert sorted(path.name for path in (volume.root / "loras").iterdir()) == [".d.pt.part", "a.pt"]


def test_a_fetch_makes_room_for_itself(make_syncer: Callable[..., Syncer], server: FileServer, volume: Volume) -> None:
    put(volume, "loras/a.pt", minutes_ago=300)
    fetch(make_syncer(limit_bytes=len(BODY)), wanted(f"{server.url}/a"))
    assert there(volume) == set()
    assert volume.used_bytes(apart_from=NO_PART) == len(BODY)


def test_a_fetch_that_goes_on_needs_room_for_the_rest_alone(
    make_syncer: Callable[..., Syncer], server: FileServer, volume: Volume
) -> None:
    server.on_body = lambda: server.statuses.extend([404] * 4)
    with pytest.raises(ModelMissing, match="404"):
        fetch(make_syncer(), wanted(f"{server.url}/a"))
    server.statuses, server.on_body = [], lambda: None
    assert fetch(make_syncer(limit_bytes=len(BODY)), wanted(f"{server.url}/a"))
