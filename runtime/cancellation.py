"""The one mutable thing that threads of a job share: its cancel flag, with the deadline beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from runtime.errors import Cancelled, ServerlessError, TimedOut


class CancelFlag:
    """Set once, from any thread, with the error that the job shall end with; read before every step.

    The first call of `set` wins. `deadline` is in seconds on `clock` (monotonic), None for no end.
    """

    def __init__(self, *, timeout_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler sets it on the very thread that may be setting it
        self._reason: ServerlessError | None = None
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else clock() + timeout_s

    def set(self, reason: ServerlessError | None = None) -> None:
        """End the job with `reason`, by default `Cancelled`."""
        with self._lock:
            self._reason = self._reason or reason or Cancelled("the job was cancelled on request")

    def limit(self, timeout_s: float) -> None:
        """Start the job's deadline now: `timeout_s` seconds from this call."""
        self._timeout_s = timeout_s
        self._deadline = self._clock() + timeout_s

    @property
    def reason(self) -> ServerlessError | None:
        """What `set` was called with first; None where only the deadline has passed, or nothing has."""
        return self._reason

    @property
    def is_set(self) -> bool:
        return self._reason is not None or self._is_late()

    def due(self) -> ServerlessError | None:
        """What the job shall end with now: the reason if the flag is set, `TimedOut` if the deadline has passed."""
        if self._reason is not None:
            return self._reason
        if self._is_late():
            return TimedOut(f"the job ran longer than its timeout_s of {self._timeout_s:g} s")
        return None

    def check(self) -> None:
        """Raise what is due, if anything is."""
        if (error := self.due()) is not None:
            raise error

    def _is_late(self) -> bool:
        return self._deadline is not None and self._clock() >= self._deadline
