from __future__ import annotations

import time
from pathlib import Path

import pytest

from runtime.artifacts.delivery import Delivered
from runtime.artifacts.kept import KEPT_S, Kept, KeptOutputs
from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import ManualClock


def output(name: str, data: bytes | None, size_bytes: int = 4) -> Delivered:
    return Delivered(
        node_id="9", kind="image", name=name, key=f"outputs/t/j/1/9_0_{name}", content_type="image/png",
        size_bytes=size_bytes, sha256="a" * 64, width=1, height=1, data=data,
    )  # fmt: skip


def kept(*outputs: Delivered) -> Kept:
    return Kept(engine="native", warnings=("a warning",), outputs=outputs)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=time.time())


@pytest.fixture
def store(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path / "artifacts", base_url="http://unused.invalid")


@pytest.fixture
def disk(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path / "kept", base_url="http://unused.invalid")


@pytest.fixture
def outputs(disk: FolderArtifactStore, store: FolderArtifactStore, clock: ManualClock) -> KeptOutputs:
    return KeptOutputs(disk, store, clock, limit_bytes=10_000)


def test_what_is_kept_is_found_whole(outputs: KeptOutputs, store: FolderArtifactStore) -> None:
    store.put("outputs/t/j/1/9_0_a.png", b"1234", "image/png")
    assert outputs.keep("r", kept(output("a.png", None), output("b.png", b"5678")))
    assert outputs.find("r") == kept(output("a.png", None), output("b.png", None))
    assert outputs.find("other") is None


def test_what_has_gone_from_the_store_is_not_kept_any_more(outputs: KeptOutputs, disk: FolderArtifactStore) -> None:
    outputs.keep("r", kept(output("a.png", None), output("b.png", b"5678")))
    assert outputs.find("r") is None
    assert list(disk.list("")) == []


def test_what_is_forgotten_leaves_nothing_anywhere(
    outputs: KeptOutputs, disk: FolderArtifactStore, store: FolderArtifactStore
) -> None:
    store.put("outputs/t/j/1/9_0_a.png", b"1234", "image/png")
    outputs.keep("r", kept(output("a.png", None), output("b.png", b"5678")))
    outputs.forget("r")
    assert [*disk.list(""), *store.list("")] == []


def test_the_oldest_makes_room_for_the_newest(outputs: KeptOutputs) -> None:
    for name in ("first", "second", "third"):
        assert outputs.keep(name, kept(output("a.png", b"x" * 4000, 4000)))
    assert [bool(outputs.find(name)) for name in ("first", "second", "third")] == [False, True, True]


def test_nothing_is_kept_for_longer_than_a_day(outputs: KeptOutputs, clock: ManualClock) -> None:
    outputs.keep("old", kept(output("a.png", b"1234")))
    clock.advance(KEPT_S + 60)
    outputs.keep("new", kept(output("a.png", b"1234")))
    assert [bool(outputs.find(name)) for name in ("old", "new")] == [False, True]


def test_what_is_larger_than_the_folder_may_be_is_not_kept(outputs: KeptOutputs, disk: FolderArtifactStore) -> None:
    assert not outputs.keep("r", kept(output("a.png", b"x" * 20_000, 20_000)))
    assert list(disk.list("")) == []


def test_a_full_disk_keeps_nothing(tmp_path: Path, store: FolderArtifactStore, clock: ManualClock) -> None:
    (tmp_path / "file").touch()
    full = FolderArtifactStore(tmp_path / "file" / "kept", base_url="http://unused.invalid")
    assert not KeptOutputs(full, store, clock).keep("r", kept(output("a.png", b"1234")))


def test_what_cannot_be_read_any_more_is_not_kept(outputs: KeptOutputs, disk: FolderArtifactStore) -> None:
    outputs.keep("r", kept(output("a.png", b"1234")))
    disk.put("r/outputs.json", b"{", "application/json")
    assert outputs.find("r") is None


def test_what_an_earlier_process_kept_is_found(
    outputs: KeptOutputs, disk: FolderArtifactStore, store: FolderArtifactStore, clock: ManualClock
) -> None:
    outputs.keep("r", kept(output("a.png", b"1234")))
    assert KeptOutputs(disk, store, clock).find("r") == kept(output("a.png", None))
