"""Brings a model from its sources onto the volume: once, whole and right, or not at all."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from runtime.errors import InputUnreachable, ModelCorrupt, ModelMissing, ServerlessError, StorageUnavailable
from runtime.models.manifest_source import Source
from runtime.models.sync.download import Download, Retries
from runtime.models.sync.lock import HeldLock, LockLost
from runtime.models.sync.part_file import RANGE_BYTES, Content, PartFile
from runtime.models.sync.remote import Check, Remote, SourceAccess, SourceFailed, open_remote
from runtime.models.sync.room import Room
from runtime.models.sync.volume import Volume

_HASH_BYTES = 4 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file that shall be on the volume. Without `sha256` it is taken as its source gives it."""

    path: str
    sources: Sequence[str]
    sha256: str | None = None
    size_bytes: int | None = None
    pinned: bool = False
    most_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How far a file has come, for whoever watches; `waiting` while another worker fetches it."""

    path: str
    done_bytes: int = 0
    total_bytes: int | None = None
    waiting: bool = False


Watch = Callable[[Transfer], None]


def unwatched(transfer: Transfer) -> None:
    """For nobody."""


class Syncer:
    """Fetches files onto one volume, however many workers do the same there.

    `wait(seconds)` is how a caller waits: it returns after that time, and raises what shall end the fetch.
    """

    def __init__(
        self,
        volume: Volume,
        access: SourceAccess,
        *,
        room: Room,
        connections: int = 8,
        range_bytes: int = RANGE_BYTES,
        retries: Retries | None = None,
    ) -> None:
        self.volume = volume
        self._access = access
        self._room = room
        self._connections = connections
        self._range_bytes = range_bytes
        self._retries = retries or Retries()

    def has(self, wanted: Wanted) -> bool:
        """Whether the file is there: of the size that is wanted, and of the hash where its hash is known here."""
        size = self.volume.size(wanted.path)
        if size is None or wanted.size_bytes not in (None, size):
            return False
        record = self.volume.record(wanted.path)
        return record is None or wanted.sha256 in (None, record.sha256)

    def verify(self, wanted: Wanted, check: Check) -> bool:
        """`has`, and a file that was put there by hand is read and hashed, once."""
        if not self.has(wanted):
            return False
        if wanted.sha256 is None or self.volume.record(wanted.path) is not None:
            return True
        return self.rehash(wanted, check) == wanted.sha256

    def rehash(self, wanted: Wanted, check: Check) -> str:
        """Read the file that is there and answer its SHA-256, which is noted as what the file is now."""
        known = self.volume.record(wanted.path)
        found = hash_file(self.volume.file(wanted.path), check)
        self.volume.remember(
            wanted.path,
            sha256=found,
            source=known.source if known else "",
            fetched=known is not None and known.fetched,
            pinned=wanted.pinned,
        )
        return found

    def identify(self, path: str, check: Check) -> tuple[str, int]:
        """SHA-256 and size of a file that is there, from what is known of it where that is known."""
        record = self.volume.record(path)
        sha256 = record.sha256 if record else self.rehash(Wanted(path=path, sources=()), check)
        return sha256, self.volume.file(path).stat().st_size

    def file_name(self, source: Source, check: Check) -> str:
        """What a source calls its file. Raises ModelMissing or InputUnreachable."""
        try:
            remote = open_remote(source, self._access, connections=1, check=check)
        except SourceFailed as exc:
            raise (InputUnreachable if exc.transient else ModelMissing)(exc.message) from exc
        remote.close()
        return remote.file_name

    def fetch(self, wanted: Wanted, *, check: Check, wait: Callable[[float], None], watch: Watch = unwatched) -> bool:
        """Have the file on the volume. Answers whether this call fetched it, False where it was there or came.

        Raises ModelMissing where no source has it, ModelCorrupt where what came was another file, InputUnreachable
        where a later attempt may succeed, StorageUnavailable where the volume has no room, and what `check` raises.
        """
        if self.has(wanted):
            return False

        def wait_for_other(seconds: float) -> None:
            watch(Transfer(path=wanted.path, waiting=True))
            wait(seconds)

        while True:
            try:
                with self.volume.lock(wanted.path).hold(wait_for_other) as held:
                    if self.has(wanted):
                        return False
                    self._fetch(wanted, held, check, watch)
                    return True
            except LockLost as exc:
                _log.warning("%s; beginning again", exc)
            except OSError as exc:
                raise StorageUnavailable(
                    f"{wanted.path} cannot be written to the models volume {self.volume.root}: {exc.strerror or exc}"
                ) from exc

    def _fetch(self, wanted: Wanted, held: HeldLock, check: Check, watch: Watch) -> None:
        def check_all() -> None:
            held.check()
            check()

        failures: list[ServerlessError] = []
        part = PartFile(self.volume.file(wanted.path))
        try:
            for text in wanted.sources:
                try:
                    return self._fetch_from(Source.parse(text), wanted, part, check_all, watch)
                except SourceFailed as exc:
                    kind = InputUnreachable if exc.transient else ModelMissing
                    failures.append(kind(exc.message))
                except ModelCorrupt as exc:
                    failures.append(exc)
                _log.warning("%s: %s", wanted.path, failures[-1].message)
        finally:
            part.close()
        raise _summary(wanted, failures)

    def _fetch_from(self, source: Source, wanted: Wanted, part: PartFile, check: Check, watch: Watch) -> None:
        remote = open_remote(
            source,
            self._access,
            connections=self._connections,
            check=check,
            is_hash_known=wanted.sha256 is not None,
        )
        try:
            size = _agreed_size(source, remote, wanted)
            content = self._content(source, remote, wanted, size)
            for is_last in (False, True):
                self._room.make(size, part=part.path, what=wanted.path)
                part.begin(content)
                resumed = part.resumed_bytes
                found = self._download(remote, part, wanted, size, check, watch)
                if wanted.sha256 in (None, found):
                    break
                part.discard()
                if is_last or not resumed:  # what a former process left may be what is wrong: once more from nothing
                    raise ModelCorrupt(f"{source} gave a file with SHA-256 {found}; expected {wanted.sha256}")
        finally:
            remote.close()
        check()
        part.publish()
        self.volume.remember(wanted.path, sha256=found, source=str(source), fetched=True, pinned=wanted.pinned)

    def _download(self, remote: Remote, part: PartFile, wanted: Wanted, size: int, check: Check, watch: Watch) -> str:
        done, lock = part.resumed_bytes, threading.Lock()

        def report(more: int) -> None:
            nonlocal done
            with lock:
                done += more
                watch(Transfer(path=wanted.path, done_bytes=done, total_bytes=size))

        report(0)
        return Download(
            remote,
            part,
            size_bytes=size,
            connections=self._connections,
            check=check,
            report=report,
            retries=self._retries,
        ).run()

    def _content(self, source: Source, remote: Remote, wanted: Wanted, size: int) -> Content:
        """What a part of is gone on with: by the hash that is wanted, from whatever source the part came; without one
        by the source's own mark of its version; and where it has none either, by nothing.
        """
        if wanted.sha256 is not None and remote.has_ranges:
            name, validator = "sha256", wanted.sha256
        else:
            name = hashlib.sha256(source.text.encode()).hexdigest()
            validator = remote.validator if remote.has_ranges and remote.validator else uuid4().hex
        return Content(source=name, size_bytes=size, validator=validator, range_bytes=self._range_bytes)


def hash_file(path: Path, check: Check) -> str:
    """The SHA-256 of a file in hex, with `check` called between its blocks."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_HASH_BYTES):
            check()
            digest.update(block)
    return digest.hexdigest()


def _agreed_size(source: Source, remote: Remote, wanted: Wanted) -> int:
    """Raises SourceFailed, before a byte is asked for, where the source has another file than is wanted."""
    size = remote.size_bytes
    if size is None and wanted.size_bytes is None:
        raise SourceFailed(f"{source} does not say how large its file is; give size_bytes")
    if size is not None and wanted.size_bytes not in (None, size):
        raise SourceFailed(f"{source} has {size} bytes; expected {wanted.size_bytes}")
    size = size or wanted.size_bytes or 0
    if size == 0:
        raise SourceFailed(f"{source} is empty")
    if wanted.most_bytes is not None and size > wanted.most_bytes:
        raise SourceFailed(f"{source} has {size} bytes; expected at most {wanted.most_bytes}")
    return size


def _summary(wanted: Wanted, failures: Sequence[ServerlessError]) -> ServerlessError:
    """One error for all sources: a wrong file is told before an absent one; a retry helps if it helps at one source."""
    reasons = "; ".join(failure.message for failure in failures)
    for kind in (ModelCorrupt, InputUnreachable):
        if any(isinstance(failure, kind) for failure in failures):
            return kind(f"{wanted.path} could not be fetched: {reasons}")
    return ModelMissing(f"{wanted.path} could not be fetched: {reasons}")
