"""Bounds on CPU time for any machine: in units of a fixed work, timed on the same machine in the same moment."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

_UNQUESTIONED_S = 0.3
_UNITS = 50.0  # a unit is some 0.1 s of one core of 2024; what `at_once` guards against takes minutes


def cpu_time_of_a_unit() -> float:
    """CPU seconds of a work of about equal parts interpreter, fresh memory and hashing."""
    began = time.process_time()
    sum(value * value for value in range(1_000_000))
    for _ in range(8):
        bytearray(16 << 20)[::4096] = bytes(4096)
    hashlib.sha256(bytes(64 << 20)).digest()
    return time.process_time() - began


@contextmanager
def at_once(units: float = _UNITS) -> Iterator[None]:
    """What is done in here takes this process less CPU time than `units` of fixed work do."""
    began = time.process_time()
    yield
    spent = time.process_time() - began
    if spent > _UNQUESTIONED_S:
        bound = units * cpu_time_of_a_unit()
        assert spent < bound, f"{spent:.2f} s of CPU time, expected under {bound:.2f}"
