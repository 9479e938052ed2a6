"""What every ArtifactStore guarantees, on each of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import httpx
import pytest

from runtime.artifacts.store import MAX_LINK_S, Artifact, ArtifactStore
from runtime.clock import ManualClock
from runtime.errors import InvalidRequest

OpenStore = Callable[..., ArtifactStore]

KEY = "outputs/ada/job-1/1/9_0_ComfyUI_00001_.png"
PNG = "image/png"


def keys(store: ArtifactStore, prefix: str) -> list[str]:
    return sorted(artifact.key for artifact in store.list(prefix))


def test_bytes_come_back_as_they_went(store: ArtifactStore) -> None:
    store.put(KEY, b"\x00\x01picture", PNG)
    assert store.get(KEY) == b"\x00\x01picture"


def test_a_file_is_put_as_bytes_are(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "made.png").write_bytes(b"picture")
    store.put(KEY, tmp_path / "made.png", PNG)
    assert store.get(KEY) == b"picture"
    assert (tmp_path / "made.png").exists()


def test_an_empty_file_is_a_file(store: ArtifactStore) -> None:
    store.put(KEY, b"", PNG)
    assert store.get(KEY) == b""


def test_a_file_of_many_parts_comes_back_whole(store: ArtifactStore, tmp_path: Path) -> None:
    data = os.urandom(17 << 20)
    store.put(KEY, data, PNG)
    assert store.download(KEY, tmp_path / "back.png")
    assert (tmp_path / "back.png").read_bytes() == data
    assert [path.name for path in tmp_path.glob("*back.png*")] == ["back.png"]


def test_the_later_of_two_files_stands(store: ArtifactStore) -> None:
    store.put(KEY, b"first", PNG)
    store.put(KEY, b"second", PNG)
    assert store.get(KEY) == b"second"


def test_what_is_not_there_is_absent(store: ArtifactStore, tmp_path: Path) -> None:
    assert store.get(KEY) is None
    assert store.stat(KEY) is None
    assert not store.download(KEY, tmp_path / "back.png")
    assert list(tmp_path.glob("*back*")) == []
    store.delete(KEY)


def test_a_part_of_a_key_is_no_file(store: ArtifactStore) -> None:
    store.put(KEY, b"picture", PNG)
    assert store.get("outputs/ada") is None
    assert store.stat("outputs/ada") is None
    store.delete("outputs/ada")
    assert store.get(f"{KEY}/more") is None
    assert store.get(KEY) == b"picture"


def test_a_file_is_known_without_being_read(store: ArtifactStore) -> None:
    store.put(KEY, b"picture", PNG)
    found = store.stat(KEY)
    assert found is not None
    assert (found.key, found.size_bytes) == (KEY, 7)
    assert found.modified_at > 1_700_000_000


def test_a_deleted_file_is_absent(store: ArtifactStore) -> None:
    store.put(KEY, b"picture", PNG)
    store.put("outputs/ada/job-1/1/other.png", b"other", PNG)
    store.delete(KEY)
    assert store.get(KEY) is None
    assert keys(store, "") == ["outputs/ada/job-1/1/other.png"]


@pytest.mark.parametrize("name", ["a b.png", "ü/雪.png", "a+b%2Fc&d=e?f#g.png", "~tilde'quote\".png", ".hidden"])
def test_a_key_is_taken_literally(store: ArtifactStore, name: str) -> None:
    store.put(f"inputs/{name}", b"data", PNG)
    assert store.get(f"inputs/{name}") == b"data"
    assert keys(store, "inputs/") == [f"inputs/{name}"]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["a/1.png", "a/b/2.png", "ab/3.png"]),
        ("a", ["a/1.png", "a/b/2.png", "ab/3.png"]),
        ("a/", ["a/1.png", "a/b/2.png"]),
        ("a/b", ["a/b/2.png"]),
        ("a/b/2", ["a/b/2.png"]),
        ("ab", ["ab/3.png"]),
        ("a/x/", []),
        ("c", []),
    ],
)
def test_a_list_holds_what_begins_with_the_prefix(store: ArtifactStore, prefix: str, found: list[str]) -> None:
    for key in ("a/1.png", "a/b/2.png", "ab/3.png"):
        store.put(key, b"x", PNG)
    assert keys(store, prefix) == found


def test_a_list_that_is_cut_short_goes_on_behind_its_last_key(store: ArtifactStore) -> None:
    # s3rver sorts what comes before a slash otherwise than S3 does, so no name here turns on that.
    names = sorted(f"outputs/{name}" for name in ("b/1", "bb", "c", "a/2", "a/1/z", "ä"))
    for name in names:
        store.put(name, b"x", PNG)
    found: list[str] = []
    while some := [artifact.key for artifact in islice(store.list("outputs/", after=found[-1] if found else ""), 2)]:
        found += some
    assert sorted(found) == names


def test_a_list_tells_each_file_s_size_and_age(store: ArtifactStore) -> None:
    store.put(KEY, b"picture", PNG)
    (listed,) = store.list("outputs/")
    known = store.stat(KEY)
    assert isinstance(known, Artifact)
    assert (listed.key, listed.size_bytes) == (known.key, known.size_bytes)
    assert listed.modified_at == pytest.approx(known.modified_at, abs=1)  # HEAD tells whole seconds


BAD_KEYS = {
    "empty": "",
    "absolute": "/etc/passwd",
    "climbing": "outputs/../../etc/passwd",
    "dot": "outputs/./a.png",
    "double slash": "outputs//a.png",
    "folder": "outputs/",
    "line feed": "outputs/a\n.png",
    "nul": "outputs/a\0.png",
    "backslash": "outputs\\a.png",
    "reserved": ".store/link-secret",
    "long": "a/" * 600 + "a",
    "long segment": "a" * 256,
    "no text": "outputs/\ud800.png",
}
CALLS: dict[str, Callable[[ArtifactStore, str], object]] = {
    "put": lambda store, key: store.put(key, b"", PNG),
    "get": lambda store, key: store.get(key),
    "download": lambda store, key: store.download(key, Path("never")),
    "stat": lambda store, key: store.stat(key),
    "delete": lambda store, key: store.delete(key),
    "sign": lambda store, key: store.sign(key, 60),
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_that_is_none_is_refused_by_every_call(store: ArtifactStore, key: str) -> None:
    for call in CALLS.values():
        with pytest.raises(InvalidRequest, match="artifact key"):
            call(store, key)


@pytest.mark.parametrize("prefix", ["../", "a//", ".store/"])
def test_a_prefix_of_no_key_is_refused(store: ArtifactStore, prefix: str) -> None:
    with pytest.raises(InvalidRequest, match="artifact key"):
        keys(store, prefix)


def test_a_link_gives_the_file_and_its_type(open_linked: OpenStore, clock: ManualClock) -> None:
    store = open_linked()
    store.put(KEY, b"picture", PNG)
    link = store.sign(KEY, 3600)
    answer = httpx.get(link.url)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"picture", PNG)
    assert link.expires_at == int(clock.wall()) + 3600
    assert link.warning is None


@pytest.mark.parametrize("name", ["a b.png", "ü/雪.png", "a+b%2Fc&d=e?f#g.png"])
def test_a_link_to_any_key_works(open_linked: OpenStore, name: str) -> None:
    store = open_linked()
    store.put(f"outputs/{name}", b"picture", PNG)
    assert httpx.get(store.sign(f"outputs/{name}", 60).url).content == b"picture"


def test_a_type_that_is_not_the_suffix_s_is_kept(open_linked: OpenStore) -> None:
    store = open_linked()
    for content_type in (PNG, "image/webp", PNG, "application/x-own"):
        store.put(KEY, b"picture", content_type)
        assert httpx.get(store.sign(KEY, 60).url).headers["content-type"] == content_type


def test_a_link_that_has_ended_is_refused(open_linked: OpenStore, clock: ManualClock) -> None:
    store = open_linked()
    store.put(KEY, b"picture", PNG)
    long_ago = open_linked(clock=ManualClock(wall=clock.wall() - 3600))
    assert httpx.get(long_ago.sign(KEY, 3700).url).status_code == 200
    answer = httpx.get(long_ago.sign(KEY, 3500).url)
    assert answer.status_code == 403
    assert b"picture" not in answer.content


def test_a_link_to_nothing_finds_nothing(open_linked: OpenStore) -> None:
    store = open_linked()
    assert httpx.get(store.sign(KEY, 60).url).status_code == 404


def test_a_link_names_the_file_that_a_browser_saves(open_linked: OpenStore) -> None:
    store = open_linked()
    store.put(KEY, b"picture", PNG)
    url = store.sign(KEY, 60, filename='my "snow" 雪.png').url
    disposition = httpx.get(url).headers["content-disposition"]
    assert disposition == "inline; filename=\"my _snow_ _.png\"; filename*=UTF-8''my%20%22snow%22%20%E9%9B%AA.png"


def test_a_file_name_with_a_line_feed_is_refused(store: ArtifactStore) -> None:
    with pytest.raises(InvalidRequest, match="file name 'a"):
        store.sign(KEY, 60, filename="a\r\nSet-Cookie: b")


def test_no_link_lasts_longer_than_a_week(store: ArtifactStore, clock: ManualClock) -> None:
    link = store.sign(KEY, 30 * 86_400)
    assert link.expires_at == int(clock.wall()) + MAX_LINK_S
    assert link.warning == "the link ends after 604800 s, the most there is"


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
def test_a_link_lasts(store: ArtifactStore, ttl_s: float) -> None:
    with pytest.raises(InvalidRequest, match="expected more than 0"):
        store.sign(KEY, ttl_s)


def test_a_link_is_not_shown(store: ArtifactStore) -> None:
    link = store.sign(KEY, 60)
    assert "ignature" in link.url
    assert "http" not in repr(link)


def test_a_store_may_be_prepared_and_closed_at_any_time(store: ArtifactStore) -> None:
    store.prepare()
    store.put(KEY, b"picture", PNG)
    store.close()
    store.close()
    assert store.get(KEY) == b"picture"
