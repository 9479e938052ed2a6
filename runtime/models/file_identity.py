"""What a file is at a moment, without reading it: whatever is done to the file changes it."""

from __future__ import annotations

from os import stat_result
from pathlib import Path

from runtime.errors import ModelMissing


def identity_of(path: Path) -> str:
    """What changes whenever the file at `path` does. Raises ModelMissing where it is gone."""
    try:
        status = path.stat()
    except OSError as exc:
        raise ModelMissing(f"{path} is no longer there: {exc.strerror or exc}") from exc
    return identity_by(status)


def identity_by(status: stat_result) -> str:
    """The same of a file that was looked at already."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
