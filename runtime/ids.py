"""Names that nobody else has: of jobs (ULIDs, which sort by time) and of this worker."""

from __future__ import annotations

import os
import socket

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_job_id(epoch_s: float) -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits as 26 characters of Crockford's base 32 (ulid/spec)."""
    number = (int(epoch_s * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def new_worker_id() -> str:
    """The process's name among all workers: the machine's name, the process and a random part."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{os.urandom(4).hex()}"
