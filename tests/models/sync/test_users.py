"""What counts as in use, for as long as it is."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

from runtime.models.sync.users import Users, mapped_paths
from runtime.models.sync.volume import USE_LEASE_S, Volume

PATH = "loras/a b.pt"


def put(volume: Volume) -> Path:
    volume.file(PATH).parent.mkdir()
    volume.file(PATH).write_bytes(b"x" * 4096)
    volume.remember(PATH, sha256="0" * 64, source="", fetched=True)
    age(volume)
    return volume.file(PATH)


def age(volume: Volume) -> None:
    long_ago = volume.now() - 2 * USE_LEASE_S
    os.utime(volume.root / ".volume" / "records" / f"{PATH}.json", (long_ago, long_ago))


def await_use(volume: Volume) -> bool:
    tick = threading.Event()
    while volume.now() - (volume.used_at(PATH) or 0) > USE_LEASE_S:
        tick.wait(0.005)
    return True


def test_a_model_is_marked_again_and_again_while_it_is_used(volume: Volume) -> None:
    put(volume)
    users = Users(volume, touch_every_s=0.01)
    with users.using([PATH]):
        age(volume)
        assert await_use(volume)
    users.close()


def test_a_model_that_is_mapped_stays_in_use_between_jobs(volume: Volume) -> None:
    file = put(volume)
    users = Users(volume, touch_every_s=0.01)
    with (
        users.using(["loras/other.pt"]),
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ),
    ):
        assert mapped_paths(volume.root) == [PATH]
        assert await_use(volume)
    assert mapped_paths(volume.root) == []
    users.close()


def test_nothing_runs_before_a_model_is_used(volume: Volume) -> None:
    threads = threading.active_count()
    users = Users(volume)
    with users.using([]):
        assert threading.active_count() == threads
    users.close()
