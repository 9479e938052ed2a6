from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.artifacts.links import Link, persistent_secret
from runtime.artifacts.local import FolderArtifactStore
from runtime.errors import StorageUnavailable

KEY = "outputs/ada/job-1/1/9_0_a.png"


@pytest.fixture
def plain(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path / "artifacts", base_url="http://127.0.0.1:8000/")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_key_is_the_path_of_its_file(plain: FolderArtifactStore, tmp_path: Path) -> None:
    plain.put(KEY, b"picture", "image/png")
    assert plain.path(KEY) == tmp_path / "artifacts" / KEY
    assert files(tmp_path / "artifacts") == [KEY]


def test_making_a_store_makes_no_folder(plain: FolderArtifactStore, tmp_path: Path) -> None:
    assert not (tmp_path / "artifacts").exists()
    plain.prepare()
    assert (tmp_path / "artifacts").is_dir()


def test_a_put_that_fails_leaves_nothing_behind(plain: FolderArtifactStore, tmp_path: Path) -> None:
    plain.put(KEY, b"before", "image/png")
    with pytest.raises(StorageUnavailable, match=r"put of artifact 'outputs/ada/job-1/1/9_0_a\.png' in .* failed"):
        plain.put(KEY, tmp_path, "image/png")  # a folder, which cannot be copied as a file
    assert plain.get(KEY) == b"before"
    assert files(tmp_path / "artifacts") == [KEY]


def test_a_reader_never_sees_half_a_file(plain: FolderArtifactStore) -> None:
    whole = {bytes([letter]) * 300_000 for letter in b"ab"}
    plain.put(KEY, b"a" * 300_000, "image/png")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for data in whole:
                plain.put(KEY, data, "image/png")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {plain.get(KEY) for _ in range(200)} <= whole
    finally:
        stop.set()
        writer.join()


def test_puts_and_deletes_in_one_folder_do_not_meet(plain: FolderArtifactStore) -> None:
    def put_and_delete(number: int) -> None:
        for _ in range(40):
            plain.put(f"a/b/{number}.png", b"x", "image/png")
            plain.delete(f"a/b/{number}.png")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_and_delete, range(4)))
    assert list(plain.list("")) == []


def test_a_folder_is_removed_with_its_last_file(plain: FolderArtifactStore, tmp_path: Path) -> None:
    plain.put(KEY, b"x", "image/webp")
    plain.delete(KEY)
    assert not (tmp_path / "artifacts" / "outputs").exists()
    assert files(tmp_path / "artifacts") == []


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FolderArtifactStore(tmp_path / "file", base_url="http://127.0.0.1")
    with pytest.raises(StorageUnavailable, match=r"in .*file failed: Not a directory") as raised:
        store.put(KEY, b"x", "image/png")
    assert raised.value.retryable


def test_the_secret_is_its_owner_s_alone(tmp_path: Path) -> None:
    secret = persistent_secret(tmp_path / "own" / "secret")
    assert len(secret) == 32
    assert stat.S_IMODE((tmp_path / "own" / "secret").stat().st_mode) == 0o600
    assert files(tmp_path) == ["own/secret"]


def test_there_is_one_secret_whoever_is_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: persistent_secret(tmp_path / "secret"), range(32)))
    assert len(secrets) == 1


def test_a_link_of_one_process_is_a_link_of_the_next(tmp_path: Path) -> None:
    one, other = (FolderArtifactStore(tmp_path, base_url="http://127.0.0.1") for _ in range(2))
    target = one.signer.write(Link(key=KEY, expires_at=99))
    assert other.signer.read(target) == Link(key=KEY, expires_at=99)


def test_another_folder_s_link_is_none(tmp_path: Path) -> None:
    one, other = (FolderArtifactStore(tmp_path / name, base_url="http://127.0.0.1") for name in "ab")
    assert other.signer.read(one.signer.write(Link(key=KEY, expires_at=99))) is None
