"""Temporary folders that a killed process leaves behind, told from those that are in use."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "comfyui-serverless-"
YOUNGEST_S = 3600.0
"""A younger folder may have been made this moment, and not be held yet."""

_log = logging.getLogger(__name__)


class HeldFolder:
    """A new folder under `root`, which only this user may read; the kernel knows that it is held until `let_go`.

    A lock says so, which ends with the process however that ends. Where the file system knows no locks, nobody removes
    what is left behind.
    """

    def __init__(self, root: Path | None) -> None:
        if root is not None:
            root.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        self._handle = _open(self.path)
        _lock(self._handle)

    def let_go(self) -> None:
        """The folder is no longer in use, or is removed."""
        os.close(self._handle)


def remove_left_folders(root: Path | None) -> int:
    """Remove the folders of this user's under `root` that no process holds any more, and answer how many those were."""
    parent = root or Path(tempfile.gettempdir())
    removed = 0
    for folder in parent.glob(f"{PREFIX}*"):
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    if removed:
        _log.info("%d folders of jobs whose process was killed are removed from %s", removed, parent)
    return removed


def _is_left(folder: Path) -> bool:
    try:
        found = folder.lstat()
        is_old_and_own = found.st_uid == os.getuid() and time.time() - found.st_mtime > YOUNGEST_S
        if not is_old_and_own or folder.is_symlink() or not folder.is_dir():
            return False
        handle = _open(folder)
        try:
            return _lock(handle)
        finally:
            os.close(handle)
    except OSError:  # removed by another meanwhile, or not ours to look at
        return False


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock(handle: int) -> bool:
    """Whether nobody else has the folder's lock, which is this process's then until `handle` is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
