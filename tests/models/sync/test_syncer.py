"""Files from sources of every mood onto the volume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from moody_server import BODY, PATH, RANGE, SHA256, FileServer, fetch, wanted

from runtime.cancellation import CancelFlag
from runtime.errors import Cancelled, InputUnreachable, ModelCorrupt, ModelMissing, StorageUnavailable
from runtime.fetch.access import WebAccess
from runtime.models.sync.part_file import Content, PartFile
from runtime.models.sync.syncer import Syncer, Transfer
from runtime.models.sync.volume import Volume


def left(volume: Volume) -> list[str]:
    """What lies in the models' own folders, hidden files included."""
    files = (path.relative_to(volume.root) for path in volume.root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if path.parts[0] != ".volume")


def test_a_file_comes_by_ranges_on_several_connections_and_is_right(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    assert fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY
    assert len(server.ranged) == 21
    assert left(volume) == [PATH]
    record = volume.record(PATH)
    assert record is not None
    assert (record.sha256, record.fetched) == (SHA256, True)


def test_what_is_there_is_not_fetched_again(syncer: Syncer, server: FileServer) -> None:
    fetch(syncer, wanted(f"{server.url}/a"))
    asked = len(server.requests)
    assert fetch(syncer, wanted(f"{server.url}/a")) is False
    assert len(server.requests) == asked


def test_a_file_that_the_manifest_now_wants_otherwise_is_replaced(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    fetch(syncer, wanted(f"{server.url}/a"))
    server.body, server.etag = BODY[::-1], '"two"'
    fetch(syncer, wanted(f"{server.url}/a", sha256=hashlib.sha256(BODY[::-1]).hexdigest()))
    assert volume.file(PATH).read_bytes() == BODY[::-1]


def test_a_file_that_was_put_there_by_hand_is_hashed_once_and_kept(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    volume.file(PATH).parent.mkdir()
    volume.file(PATH).write_bytes(BODY)
    assert syncer.verify(wanted(), lambda: None)
    record = volume.record(PATH)
    assert record is not None
    assert record.fetched is False


def test_a_wrong_file_that_was_put_there_by_hand_is_found_out_and_replaced(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    volume.file(PATH).parent.mkdir()
    volume.file(PATH).write_bytes(BODY[::-1])
    assert not syncer.verify(wanted(), lambda: None)
    assert fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY


def test_a_server_without_ranges_gives_the_file_in_one_piece(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    server.ranges = False
    fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY
    assert [asked for _, asked, _ in server.requests] == ["bytes=0-0", None]


def test_a_connection_that_breaks_off_is_gone_on_with_where_it_broke(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    server.cut_after = RANGE // 3
    fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY
    assert server.cuts > 20
    assert f"bytes={RANGE // 3}-{RANGE - 1}" in server.ranged


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(syncer: Syncer, server: FileServer, volume: Volume, status: int) -> None:
    def busy_once() -> None:
        server.statuses, server.on_body = [status, status], lambda: None

    server.on_body = busy_once
    fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY


def test_a_source_that_fails_in_the_middle_is_followed_by_the_next_which_goes_on_with_its_part(
    syncer: Syncer, new_server: Callable[[], FileServer], volume: Volume
) -> None:
    failing, mirror = new_server(), new_server()
    served = []

    def fail_after_ten() -> None:
        served.append(1)
        if len(served) == 10:
            failing.statuses = [404] * 100

    failing.on_body = fail_after_ten
    fetch(syncer, wanted(f"{failing.url}/a", f"{mirror.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY
    assert 0 < len(mirror.ranged) < 18


def test_a_wrong_file_is_discarded_and_named_and_the_next_source_is_tried(
    syncer: Syncer, new_server: Callable[[], FileServer], volume: Volume
) -> None:
    wrong, right = new_server(), new_server()
    wrong.body = BODY[::-1]
    with pytest.raises(ModelCorrupt, match=rf"{wrong.url}/a gave a file with SHA-256 .*; expected {SHA256}"):
        fetch(syncer, wanted(f"{wrong.url}/a"))
    assert left(volume) == []
    assert fetch(syncer, wanted(f"{wrong.url}/a", f"{right.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY


def test_a_part_that_a_former_process_left_wrong_is_fetched_once_more(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    part = PartFile(volume.file(PATH))
    part.begin(Content(source="sha256", size_bytes=len(BODY), validator=SHA256, range_bytes=RANGE))
    part.write(0, b"\0" * RANGE)
    part.finish(0)
    part.close()
    fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY


def test_a_size_other_than_the_manifests_is_told_before_a_byte_is_fetched(syncer: Syncer, server: FileServer) -> None:
    with pytest.raises(ModelMissing, match=rf"/a has {len(BODY)} bytes; expected 5"):
        fetch(syncer, wanted(f"{server.url}/a", size_bytes=5))
    assert server.ranged == []


def test_a_file_that_changes_while_it_is_fetched_is_not_put_together_of_two(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    def change() -> None:
        server.body, server.etag = BODY[::-1], '"two"'

    server.on_body = change
    with pytest.raises(ModelMissing, match="changed while it was fetched"):
        fetch(syncer, wanted(f"{server.url}/a", sha256=None))
    assert not volume.file(PATH).exists()


def test_machines_behind_one_name_that_name_versions_differently_are_one_source_where_the_hash_is_known(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    def another_machine() -> None:
        server.etag = f'"{len(server.requests)}"'

    server.on_body = another_machine
    assert fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, ModelMissing, "answered 404"),
        (401, ModelMissing, "answered 401; it may need HF_TOKEN"),
        (503, InputUnreachable, "answered 503"),
    ],
)
def test_an_answer_without_the_file_is_told_with_its_status(
    syncer: Syncer, server: FileServer, status: int, error: type[Exception], message: str
) -> None:
    server.statuses = [status] * 50
    with pytest.raises(error, match=message):
        fetch(syncer, wanted(f"{server.url}/a"))


def test_a_server_that_is_not_there_is_told_without_its_query(syncer: Syncer) -> None:
    with pytest.raises(InputUnreachable, match=r"checkpoints/a\.safetensors.*http://127\.0\.0\.1:1/a") as failed:
        fetch(syncer, wanted("http://127.0.0.1:1/a?signature=SECRET"))
    assert "SECRET" not in str(failed.value)


def test_a_web_page_is_no_model(syncer: Syncer, server: FileServer) -> None:
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(ModelMissing, match="is a web page"):
        fetch(syncer, wanted(f"{server.url}/a", sha256=None))


def test_a_redirect_is_followed_and_its_address_asked_for_anew_once_it_is_stale(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    signed = iter(range(100))
    server.redirect = lambda path: f"/cdn/{next(signed)}" if path == "/a" else None
    stale = []

    def expire() -> None:
        stale.append(1)
        if len(stale) == 5:
            server.statuses = [403]

    server.on_body = expire
    fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY
    assert sum(path == "/a" for path, _, _ in server.requests) in range(2, 6)


def test_a_token_goes_to_its_own_host_alone(
    make_syncer: Callable[..., Syncer], new_server: Callable[[], FileServer]
) -> None:
    hub, cdn = new_server(), new_server()
    hub.redirect = lambda path: f"{cdn.url}/blob"
    fetch(
        make_syncer(hf_endpoint=hub.url, hf_token="SECRET"),
        wanted("hf://owner/repo/dir/a b.safetensors@v1/x"),
    )
    assert {(path, token) for path, _, token in hub.requests} == {
        ("/owner/repo/resolve/v1%2Fx/dir/a%20b.safetensors", "Bearer SECRET")
    }
    assert {token for _, _, token in cdn.requests} == {None}


def test_civitai_is_asked_by_its_version_id_with_its_token(
    make_syncer: Callable[..., Syncer], server: FileServer
) -> None:
    syncer = make_syncer(civitai_endpoint=server.url, civitai_token="SECRET")
    fetch(syncer, wanted("civitai://128713?type=Model"))
    assert {(path, token) for path, _, token in server.requests} == {
        ("/api/download/models/128713?type=Model", "Bearer SECRET")
    }


def test_a_file_of_this_machine_is_copied(syncer: Syncer, volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(BODY)
    fetch(syncer, wanted(f"file://{tmp_path}/absent", f"file://{tmp_path}/b"))
    assert volume.file(PATH).read_bytes() == BODY


def test_a_private_address_is_refused_where_only_public_ones_are_allowed(
    make_syncer: Callable[..., Syncer], server: FileServer
) -> None:
    with pytest.raises(ModelMissing, match="not on the public internet"):
        fetch(make_syncer(web=WebAccess()), wanted(f"{server.url}/a"))
    assert server.requests == []


def test_a_cancel_ends_a_fetch_at_once_and_what_came_is_gone_on_with(
    syncer: Syncer, server: FileServer, volume: Volume
) -> None:
    flag = CancelFlag()

    def watch(transfer: Transfer) -> None:
        if transfer.done_bytes > len(BODY) // 2:
            flag.set()

    with pytest.raises(Cancelled):
        fetch(syncer, wanted(f"{server.url}/a"), check=flag.check, watch=watch)
    assert not volume.file(PATH).exists()
    asked = len(server.ranged)
    fetch(syncer, wanted(f"{server.url}/a"))
    assert volume.file(PATH).read_bytes() == BODY
    assert len(server.ranged) - asked < 21


def test_progress_grows_to_the_whole_size(syncer: Syncer, server: FileServer) -> None:
    seen: list[Transfer] = []
    server.cut_after = RANGE // 2
    fetch(syncer, wanted(f"{server.url}/a"), watch=seen.append)
    assert seen[0].done_bytes == 0
    assert seen[-1].done_bytes == seen[-1].total_bytes == len(BODY)


def test_a_volume_that_cannot_be_written_to_is_told(syncer: Syncer, server: FileServer, volume: Volume) -> None:
    (volume.root / "checkpoints").write_text("a file in the folder's place")
    with pytest.raises(StorageUnavailable, match="cannot be written to the models volume"):
        fetch(syncer, wanted(f"{server.url}/a"))
