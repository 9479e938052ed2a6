"""One attempt's outputs on their way to the store: encoded and uploaded while later nodes still run."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, TimeoutError, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from runtime.artifacts.content_types import content_type_of
from runtime.artifacts.encode import encode_picture, picture_size, suffix_of
from runtime.artifacts.naming import OutputNames, clean_name, output_folder, output_key
from runtime.artifacts.store import ArtifactStore
from runtime.cancellation import CancelFlag
from runtime.engines.protocol import FileOutput, Picture
from runtime.errors import Internal, ServerlessError, StorageUnavailable
from runtime.request import OutputOptions

_LOOK_S = 0.2  # how often a wait for uploads looks whether the job shall end
_LEAVE_S = 2.0  # how long a discard waits for uploads that have begun
_MOST_WAITING = 32  # outputs held in memory before the GPU thread waits for the uploads


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


@dataclass(frozen=True, kw_only=True)
class _Put:
    """One output after its upload, with its bytes where the store did not take it."""

    output: Delivered
    error: StorageUnavailable | None = None


class Delivery:
    """The artifact sink of one attempt. Its calls are made by one thread; encoding and upload run on `pool`.

    A call that waits raises what `flag` raises once that is set. Once the store has refused an output after all its
    retries, the later ones are not offered to it.
    """

    def __init__(
        self,
        store: ArtifactStore,
        place: Place,
        options: OutputOptions,
        pool: Executor,
        flag: CancelFlag,
        *,
        keep_data: bool,
    ) -> None:
        self._store = store
        self._place = place
        self._options = options
        self._pool = pool
        self._flag = flag
        self._keep_data = keep_data
        self._names = OutputNames(time.localtime())
        self._room = threading.BoundedSemaphore(_MOST_WAITING)
        self._stopped = threading.Event()
        self._away: StorageUnavailable | None = None
        self._futures: list[Future[_Put]] = []

    def picture(self, picture: Picture) -> str:
        """Take a picture; answer its name at once."""
        height, width, _ = picture.pixels.shape
        suffix = suffix_of(self._options.format)
        name = self._names.next(picture.filename_prefix, suffix, width=width, height=height, index=picture.index)
        self._submit(lambda: self._deliver_picture(picture, name))
        return name

    def file(self, output: FileOutput) -> str:
        """Take a file; answer its name at once."""
        name = (
            clean_name(output.name)
            if output.name
            else self._names.next(output.filename_prefix, output.suffix, index=output.index)
        )
        self._submit(lambda: self._deliver_file(output, name))
        return name

    def again(self, output: Delivered, read: Callable[[], bytes]) -> None:
        """Take an output that an earlier attempt has made; its bytes are read on the pool."""
        key = output_folder(**vars(self._place)) + output.key.rpartition("/")[2]
        self._submit(lambda: self._put(replace(output, key=key, data=read())))

    def finish(self) -> list[Delivered]:
        """Wait until everything lies in the store. Raises what the first failed upload raised."""
        puts = [self._result(future) for future in self._futures]
        for put in puts:
            if put.error is not None:
                raise put.error
        return [put.output for put in puts]

    def unsent(self) -> list[Delivered] | None:
        """After a `finish` that the store failed: every output, with its bytes where, and only where, it is not there.

        None where one could not be made at all.
        """
        try:
            puts = [self._result(future) for future in self._futures]
        except ServerlessError:
            return None
        return [put.output if put.error else replace(put.output, data=None) for put in puts]

    def discard(self) -> None:
        """Take back what this attempt has uploaded; what cannot be taken back stays under its own token."""
        self._stopped.set()
        for future in self._futures:
            future.cancel()
        wait(self._futures, timeout=_LEAVE_S)
        for future in self._futures:
            future.add_done_callback(self._forget)  # at once, or when an upload that hangs is through

    def _forget(self, future: Future[_Put]) -> None:
        if future.cancelled() or future.exception() is not None or future.result().error is not None:
            return
        try:
            self._store.delete(future.result().output.key)
        except ServerlessError:
            return  # an orphan under this attempt's token: no result names it

    def _result(self, future: Future[_Put]) -> _Put:
        while True:
            try:
                return future.result(_LOOK_S)
            except TimeoutError:
                self._flag.check()
            except ServerlessError:
                raise
            except Exception as exc:
                raise Internal(f"an output could not be encoded or stored: {type(exc).__name__}: {exc}") from exc

    def _submit(self, work: Callable[[], _Put]) -> None:
        while not self._room.acquire(timeout=_LOOK_S):
            self._flag.check()
        future = self._pool.submit(self._unless_stopped, work)
        future.add_done_callback(lambda _: self._room.release())
        self._futures.append(future)

    def _unless_stopped(self, work: Callable[[], _Put]) -> _Put:
        if self._stopped.is_set():
            raise StorageUnavailable("the attempt was given up before this output was uploaded")
        return work()

    def _deliver_picture(self, picture: Picture, name: str) -> _Put:
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

    def _deliver_file(self, output: FileOutput, name: str) -> _Put:
        data = output.data.read_bytes() if isinstance(output.data, Path) else output.data
        width, height = picture_size(data) if output.kind == "image" else (None, None)
        return self._put(
            Delivered(
                node_id=output.node_id,
                kind=output.kind,
                name=name,
                key=self._key(output.node_id, output.index, name),
                content_type=content_type_of(name),
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                width=width,
                height=height,
                temporary=output.temporary,
                data=data,
            )
        )

    def _key(self, node_id: str, index: int, name: str) -> str:
        return output_key(**vars(self._place), node_id=node_id, index=index, name=name)

    def _put(self, output: Delivered) -> _Put:
        if self._away is not None:
            return _Put(output=output, error=self._away)
        try:
            self._store.put(output.key, output.data or b"", output.content_type)
        except StorageUnavailable as exc:
            self._away = exc
            return _Put(output=output, error=exc)
        keeps = self._keep_data or output.kind == "text"
        return _Put(output=output if keeps else replace(output, data=None))
