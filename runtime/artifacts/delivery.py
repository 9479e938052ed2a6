"""One attempt's outputs on their way to the store: encoded and uploaded while later nodes still run."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from runtime.artifacts.encode import encode_picture, suffix_of
from runtime.artifacts.naming import OutputNames, output_key
from runtime.artifacts.store import ArtifactStore
from runtime.engines.protocol import FileOutput, Picture
from runtime.errors import Internal, ServerlessError, StorageUnavailable
from runtime.request import OutputOptions

_MOST_WAITING = 32  # outputs held in memory before the GPU thread waits for the uploads
_CONTENT_TYPES = {".txt": "text/plain; charset=utf-8", ".json": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One output that lies in the store under `key`; `data` is kept where the result shall hold the bytes."""

    node_id: str
    kind: str
    name: str
    key: str
    content_type: str
    size_bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    temporary: bool = False
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose outputs these are: the parts of their keys."""

    user: str
    job_id: str
    token: int


class Delivery:
    """The artifact sink of one attempt. Its calls are made by one thread; encoding and upload run on `pool`."""

    def __init__(
        self, store: ArtifactStore, place: Place, options: OutputOptions, pool: Executor, *, keep_data: bool
    ) -> None:
        self._store = store
        self._place = place
        self._options = options
        self._pool = pool
        self._keep_data = keep_data
        self._names = OutputNames(time.localtime())
        self._room = threading.BoundedSemaphore(_MOST_WAITING)
        self._stopped = threading.Event()
        self._futures: list[Future[Delivered]] = []

    def picture(self, picture: Picture) -> str:
        """Take a picture; answer its name at once."""
        height, width, _ = picture.pixels.shape
        suffix = suffix_of(self._options.format)
        name = self._names.next(picture.filename_prefix, suffix, width=width, height=height, index=picture.index)
        self._submit(lambda: self._deliver_picture(picture, name))
        return name

    def file(self, output: FileOutput) -> str:
        """Take a file; answer its name at once."""
        name = self._names.next(output.filename_prefix, output.suffix, index=output.index)
        self._submit(lambda: self._deliver_file(output, name))
        return name

    def finish(self) -> list[Delivered]:
        """Wait until everything lies in the store. Raises what the first failed upload raised."""
        return [_result(future) for future in self._futures]

    def discard(self) -> None:
        """Take back what this attempt has uploaded; what cannot be taken back stays under its own token."""
        self._stopped.set()
        for future in self._futures:
            future.cancel()
        for future in self._futures:
            if not future.cancelled() and future.exception() is None:
                self._forget(future.result().key)

    def _forget(self, key: str) -> None:
        try:
            self._store.delete(key)
        except ServerlessError:
            return  # an orphan under this attempt's token: no result names it

    def _submit(self, work: Callable[[], Delivered]) -> None:
        self._room.acquire()
        future = self._pool.submit(self._unless_stopped, work)
        future.add_done_callback(lambda _: self._room.release())
        self._futures.append(future)

    def _unless_stopped(self, work: Callable[[], Delivered]) -> Delivered:
        if self._stopped.is_set():
            raise StorageUnavailable("the attempt was given up before this output was uploaded")
        return work()

    def _deliver_picture(self, picture: Picture, name: str) -> Delivered:
        encoded = encode_picture(picture, self._options.format, self._options.quality)
        return self._put(
            Delivered(
                node_id=picture.node_id,
                kind="image",
                name=name,
                key=self._key(picture.node_id, picture.index, name),
                content_type=encoded.content_type,
                size_bytes=len(encoded.data),
                sha256=hashlib.sha256(encoded.data).hexdigest(),
                width=encoded.width,
                height=encoded.height,
                temporary=picture.temporary,
                data=encoded.data,
            )
        )

    def _deliver_file(self, output: FileOutput, name: str) -> Delivered:
        return self._put(
            Delivered(
                node_id=output.node_id,
                kind=output.kind,
                name=name,
                key=self._key(output.node_id, output.index, name),
                content_type=_CONTENT_TYPES.get(output.suffix, "application/octet-stream"),
                size_bytes=len(output.data),
                sha256=hashlib.sha256(output.data).hexdigest(),
                data=output.data,
            )
        )

    def _key(self, node_id: str, index: int, name: str) -> str:
        place = self._place
        return output_key(
            user=place.user, job_id=place.job_id, token=place.token, node_id=node_id, index=index, name=name
        )

    def _put(self, delivered: Delivered) -> Delivered:
        self._store.put(delivered.key, delivered.data or b"", delivered.content_type)
        if self._keep_data or delivered.kind == "text":
            return delivered
        return Delivered(**{**vars(delivered), "data": None})


def _result(future: Future[Delivered]) -> Delivered:
    try:
        return future.result()
    except ServerlessError:
        raise
    except Exception as exc:
        raise Internal(f"an output could not be encoded or stored: {type(exc).__name__}: {exc}") from exc
