"""Whether a file's bytes are in the kernel's page cache already."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable

_APART_BYTES = 16 * 1024 * 1024
_MIN_SAMPLES = 32
_SHARE_CACHED = 0.95


def is_cached(file: int, begin: int, end: int) -> bool:
    """Whether nearly all of the bytes from `begin` to `end` of the open `file` can be had without its device.

    Asked by reads of one byte that refuse to wait (preadv2 with RWF_NOWAIT), one every 16 MB. A file system that does
    not know how to refuse (NFS, FUSE, gVisor) counts as not cached: `mincore`, the other way to ask, answers there, and
    for a file of another owner, that everything is.
    """
    apart = max(1, min(_APART_BYTES, (end - begin) // _MIN_SAMPLES))
    # A refused read still has its page fetched: another place each time, so that nobody takes the traces for a file.
    places = range(begin + secrets.randbelow(apart), end, apart)
    try:
        return _count_cached(file, places) >= _SHARE_CACHED * len(places)
    except (OSError, AttributeError):  # refused by the file system, or a platform without preadv2
        return False


def _count_cached(file: int, places: Iterable[int]) -> int:
    again = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(again, 0, 0, os.POSIX_FADV_RANDOM)  # that page alone, and none behind it
        return sum(_is_there(again, place) for place in places)
    finally:
        os.close(again)


def _is_there(file: int, place: int) -> bool:
    try:
        return os.preadv(file, [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
