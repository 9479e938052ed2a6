"""Models from another folder of this machine: a mounted share, an image's layer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runtime.models.file_identity import identity_by
from runtime.models.sync.remote import SourceFailed

_CHUNK_BYTES = 4 << 20


class LocalRemote:
    """A plain file. Errors as of `Remote`."""

    has_ranges = True

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.file_name = self._path.name
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY)
        except OSError as exc:
            raise SourceFailed(f"file://{path} cannot be read: {exc.strerror}") from exc
        self.size_bytes: int | None = os.fstat(self._descriptor).st_size
        self.validator = self._version()
        if not self._path.is_file():
            self.close()
            raise SourceFailed(f"file://{path} is no plain file")

    def read(self, start: int, end: int | None) -> Iterator[bytes]:
        end = self.size_bytes or 0 if end is None else end
        while start < end:
            try:
                data = os.pread(self._descriptor, min(_CHUNK_BYTES, end - start), start)
            except OSError as exc:
                raise SourceFailed(f"file://{self._path} cannot be read: {exc.strerror}") from exc
            if not data or self._version() != self.validator:
                raise SourceFailed(f"file://{self._path} changed while it was read")
            yield data
            start += len(data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _version(self) -> str:
        return identity_by(os.fstat(self._descriptor))
