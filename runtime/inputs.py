"""The input files of a request, brought into the job's workspace before its graph is checked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime.cancellation import CancelFlag
from runtime.errors import InputError, InputRejected, InputUnreachable, ServerlessError, StorageUnavailable
from runtime.fetch.access import S3Access, WebAccess
from runtime.fetch.base64_text import write_base64
from runtime.fetch.sink import ByteBudget, Sink
from runtime.fetch.uploads import SCHEME as UPLOAD
from runtime.fetch.uploads import UploadAccess
from runtime.file_names import shown
from runtime.workspace import Workspace

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")


class InputFile(Protocol):
    """One entry of a request's `images`: a name, and base64 or an https, http, s3 or upload address."""

    @property
    def name(self) -> str: ...

    @property
    def image(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class InputLimits:
    """How much a request may bring along; `transfer_timeout_s` is for one file, from its first packet to its last."""

    files: int = 100
    file_bytes: int = 64 << 20
    total_bytes: int = 256 << 20
    transfer_timeout_s: float = 120.0
    parallel: int = 4


@dataclass(frozen=True, kw_only=True)
class _Entry:
    label: str
    scheme: str | None
    text: str
    path: Path


def fetch_inputs(
    images: Sequence[InputFile],
    workspace: Workspace,
    *,
    cancel: CancelFlag,
    limits: InputLimits | None = None,
    web: WebAccess | None = None,
    s3: S3Access | None = None,
    uploads: UploadAccess | None = None,
) -> None:
    """Write every file of `images` into the workspace's input folder under its own name.

    Base64 is decoded at once, addresses are fetched side by side; the first failure ends the others. Raises
    InputRejected or InputUnreachable naming the entry, StorageUnavailable where there is no room to write them, and
    what `cancel` raises within a fraction of a second.
    With `s3` None no `s3://` address is read, with `uploads` None no `upload:` address.
    """
    if not images:
        return
    limits = limits or InputLimits()
    if len(images) > limits.files:
        raise InputRejected(f"images has {len(images)} entries, expected at most {limits.files}")
    with _full_disk_translated():
        entries = [_entry(index, image, workspace) for index, image in enumerate(images)]
    fetch = _Fetch(cancel=cancel, limits=limits, web=web or WebAccess(), s3=s3, uploads=uploads)
    for entry in entries:
        if entry.scheme is None:
            fetch.run(entry)
    fetch.run_side_by_side([entry for entry in entries if entry.scheme is not None])


def _entry(index: int, image: InputFile, workspace: Workspace) -> _Entry:
    label = f"images[{index}] {shown(image.name)}"
    try:
        path = workspace.new_input(image.name)
        path.touch()
    except InputRejected as exc:
        raise InputRejected(f"images[{index}]: {exc.message}") from exc
    return _Entry(label=label, scheme=scheme_of(image.image), text=image.image, path=path)


def scheme_of(text: str) -> str | None:
    """The scheme of an entry's address, lower case; None for base64, a `data:` URL included."""
    found = _SCHEME.match(text[:64])
    scheme = found[1].lower() if found else None
    return None if scheme == "data" else scheme


def is_known(image: InputFile) -> bool:
    """Whether the entry says by itself what the file holds; what an address leads to may change."""
    return scheme_of(image.image) in (None, UPLOAD)


@contextmanager
def _full_disk_translated() -> Iterator[None]:
    """What the file system says as StorageUnavailable: a retry, elsewhere or later, may find room."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise StorageUnavailable(f"the job's folder for input files cannot be written to: {reason}") from exc


class _Fetch:
    """The transfers of one request, which share a budget of bytes and end together."""

    def __init__(
        self,
        *,
        cancel: CancelFlag,
        limits: InputLimits,
        web: WebAccess,
        s3: S3Access | None,
        uploads: UploadAccess | None,
    ) -> None:
        self._cancel = cancel
        self._limits = limits
        self._web = web
        self._s3 = s3
        self._uploads = uploads
        self._budget = ByteBudget(limits.total_bytes)
        self._failed = CancelFlag()

    def run_side_by_side(self, entries: Sequence[_Entry]) -> None:
        """Run `entries` on a few threads, which have all ended on return; raises the first failure."""
        if not entries:
            return
        with ThreadPoolExecutor(min(self._limits.parallel, len(entries)), thread_name_prefix="fetch") as pool:
            transfers = [pool.submit(self.run, entry) for entry in entries]
        self._failed.check()
        for transfer in transfers:
            transfer.result()  # raises what is a defect of ours

    def run(self, entry: _Entry) -> None:
        try:
            self._transfer(entry)
        except InputError as exc:
            labelled = type(exc)(f"{entry.label}: {exc.message}")
            self._failed.set(labelled)
            raise labelled from exc
        except ServerlessError as exc:
            self._failed.set(exc)
            raise

    def _transfer(self, entry: _Entry) -> None:
        check = self._checker()
        check()
        with _full_disk_translated(), entry.path.open("wb") as file:
            sink = Sink(file, limit_bytes=self._limits.file_bytes, budget=self._budget, check=check)
            self._read(entry, sink)
        if sink.size_bytes == 0:
            raise InputRejected("it is empty")

    def _read(self, entry: _Entry, sink: Sink) -> None:
        """Fill `sink` from where the entry points; what only an address needs is imported for an address alone."""
        if entry.scheme is None:
            write_base64(entry.text, sink)
        elif entry.scheme in ("https", "http"):
            from runtime.fetch import web

            web.download(entry.text.strip(), sink, self._web)
        elif entry.scheme == "s3" and self._s3 is not None:
            from runtime.fetch import s3

            s3.download(entry.text.strip(), sink, self._s3)
        elif entry.scheme == "s3":
            raise InputRejected("it is an s3:// address; this deployment has neither S3_BUCKET nor INPUT_S3_ALLOW")
        elif entry.scheme == UPLOAD and self._uploads is not None:
            self._uploads.download(entry.text.strip(), sink)
        else:
            raise InputRejected(f"its scheme is {entry.scheme!r}, expected https, http, s3, upload or base64")

    def _checker(self) -> Callable[[], None]:
        timeout_s = self._limits.transfer_timeout_s
        ends_at = time.monotonic() + timeout_s

        def check() -> None:
            self._cancel.check()
            self._failed.check()
            if time.monotonic() >= ends_at:
                raise InputUnreachable(f"it was not whole after {timeout_s:g} s")

        return check
