from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from runtime.artifacts.delivery import Delivery, Place
from runtime.cancellation import CancelFlag
from runtime.engines.protocol import FileOutput, Picture
from runtime.errors import Internal, InvalidRequest, StorageUnavailable
from runtime.request import OutputOptions


class Store:
    """Keeps what is put; while `closed`, puts wait, and keys that contain `refuses` fail."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, str]] = {}
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Semaphore(0)
        self.refuses: str | None = None
        self.keeps_all = False

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.began.release()
        assert self.open.wait(10)
        if self.refuses is not None and self.refuses in key:
            raise StorageUnavailable("the bucket does not answer")
        self.held[key] = data, content_type

    def delete(self, key: str) -> None:
        if self.keeps_all:
            raise StorageUnavailable("the bucket does not answer")
        self.held.pop(key, None)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def delivery(store: Any, pool: ThreadPoolExecutor) -> Any:
    return make(store, pool)


def make(store: Any, pool: ThreadPoolExecutor, *, keep_data: bool = False, **options: Any) -> Delivery:
    place = Place(user="tenant", job_id="job", token=1)
    return Delivery(store, place, OutputOptions(**options), pool, CancelFlag(), keep_data=keep_data)


def picture(prefix: str = "cat", index: int = 0, *, shape: tuple[int, ...] = (4, 6, 3)) -> Picture:
    return Picture(node_id="9", index=index, filename_prefix=prefix, pixels=numpy.zeros(shape, numpy.uint8))


def latent(prefix: str = "latents/x") -> FileOutput:
    return FileOutput(node_id="5", index=0, filename_prefix=prefix, suffix=".latent", kind="latent", data=b"data")


def test_a_picture_is_uploaded_while_the_graph_still_runs(store: Store, delivery: Delivery) -> None:
    store.open.clear()
    assert delivery.picture(picture()) == "cat_00001_.png"
    assert store.began.acquire(timeout=10)
    store.open.set()


def test_what_was_delivered_is_told_in_order_with_its_facts(store: Store, delivery: Delivery) -> None:
    delivery.picture(picture())
    delivery.file(latent())
    image, file = delivery.finish()
    data, content_type = store.held[image.key]
    assert (image.kind, image.name, image.width, image.height) == ("image", "cat_00001_.png", 6, 4)
    assert (image.size_bytes, image.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (image.content_type, content_type) == ("image/png",) * 2
    assert (file.kind, file.name, file.node_id) == ("latent", "latents/x_00001_.latent", "5")
    assert store.held[file.key] == (b"data", "application/octet-stream")


def test_the_keys_lie_under_the_attempts_own_token(store: Store, delivery: Delivery) -> None:
    delivery.picture(picture("sub/cat"))
    (delivered,) = delivery.finish()
    assert delivered.key == "outputs/tenant/job/1/9_0_cat_00001_.png"


def test_pictures_come_in_the_format_that_was_asked(store: Any, pool: ThreadPoolExecutor) -> None:
    delivery = make(store, pool, format="webp")
    assert delivery.picture(picture()) == "cat_00001_.webp"
    assert delivery.finish()[0].content_type == "image/webp"


@pytest.mark.parametrize("keep", [True, False], ids=["as base64", "as links"])
def test_bytes_are_kept_only_where_the_result_holds_them(store: Any, pool: ThreadPoolExecutor, keep: bool) -> None:
    delivery = make(store, pool, keep_data=keep)
    delivery.file(latent())
    assert delivery.finish()[0].data == (b"data" if keep else None)


def test_a_store_that_fails_fails_the_delivery(store: Store, delivery: Delivery) -> None:
    store.refuses = "dog"
    for prefix in ("cat", "dog", "bird"):
        delivery.picture(picture(prefix))
    with pytest.raises(StorageUnavailable, match="does not answer"):
        delivery.finish()


def test_a_picture_too_long_for_its_format_fails_as_the_request_that_it_is(
    store: Any, pool: ThreadPoolExecutor
) -> None:
    delivery = make(store, pool, format="webp")
    delivery.picture(picture(shape=(1, 17_000, 3)))
    with pytest.raises(InvalidRequest, match="17000x1"):
        delivery.finish()


def test_pixels_that_are_no_picture_are_a_defect_by_name(delivery: Delivery) -> None:
    delivery.picture(picture(shape=(4, 4, 5)))
    with pytest.raises(Internal, match="an output could not be encoded"):
        delivery.finish()


def test_discarded_nothing_of_it_stays_in_the_store(store: Store, delivery: Delivery) -> None:
    for number in range(5):
        delivery.picture(picture(index=number))
    delivery.finish()
    assert len(store.held) == 5
    delivery.discard()
    assert store.held == {}


def test_discarded_on_its_way_nothing_of_it_arrives(store: Store, delivery: Delivery, pool: ThreadPoolExecutor) -> None:
    store.open.clear()
    for number in range(10):
        delivery.picture(picture(index=number))
    store.began.acquire(timeout=10)
    discarding = threading.Thread(target=delivery.discard)
    discarding.start()
    store.open.set()
    discarding.join(10)
    assert not discarding.is_alive()
    assert store.held == {}


def test_a_store_that_does_not_delete_does_not_stop_the_discard(store: Store, delivery: Delivery) -> None:
    delivery.picture(picture())
    delivery.finish()
    store.keeps_all = True
    delivery.discard()
    assert len(store.held) == 1


def test_failed_uploads_are_no_trouble_to_a_discard(store: Store, delivery: Delivery) -> None:
    store.refuses = "dog"
    delivery.picture(picture("dog"))
    delivery.picture(picture("cat"))
    delivery.discard()
    assert store.held == {}


def test_the_graph_waits_when_too_many_outputs_are_on_their_way(store: Store, delivery: Delivery) -> None:
    store.open.clear()
    handed: list[int] = []

    def hand_over() -> None:
        for number in range(40):
            delivery.picture(picture(index=number))
            handed.append(number)

    graph = threading.Thread(target=hand_over)
    graph.start()
    store.began.acquire(timeout=10)
    store.began.acquire(timeout=10)
    graph.join(0.05)
    assert graph.is_alive()
    assert len(handed) <= 32
    store.open.set()
    graph.join(10)
    assert len(delivery.finish()) == 40


def video(data: Any) -> FileOutput:
    return FileOutput(
        node_id="5", index=0, filename_prefix="x", suffix=".mp4", kind="video", data=data, name="sub/clip one.mp4"
    )


def test_a_file_that_has_a_name_keeps_it(delivery: Delivery) -> None:
    assert delivery.file(video(b"moving")) == "sub/clip one.mp4"
    (delivered,) = delivery.finish()
    assert (delivered.name, delivered.content_type) == ("sub/clip one.mp4", "video/mp4")


def test_a_large_file_is_read_when_its_turn_has_come(store: Store, delivery: Delivery, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"moving")
    delivery.file(video(path))
    (delivered,) = delivery.finish()
    assert store.held[delivered.key] == (b"moving", "video/mp4")
    assert (delivered.size_bytes, delivered.sha256) == (6, hashlib.sha256(b"moving").hexdigest())


def test_a_picture_that_a_node_wrote_itself_tells_its_size(delivery: Delivery) -> None:
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "webp")
    delivery.file(dataclasses.replace(latent(), kind="image", suffix=".webp", data=file.getvalue()))
    (delivered,) = delivery.finish()
    assert (delivered.width, delivered.height) == (6, 4)
