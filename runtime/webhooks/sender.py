"""The worker's own calls of webhooks: the first try of each, and progress, from a thread that no job waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from runtime.errors import ServerlessError
from runtime.jobs.record import JobRecord
from runtime.progress import Progress
from runtime.webhooks.courier import Courier

_log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 5.0
MOST_WAITING = 32
CLOSING_S = 5.0

_Call = Callable[[], object]


class WebhookSender:
    """Sends what it is given in its order, one call at a time. What it does not come to, the sweeper delivers.

    Progress is sent at most every `every_s` seconds, the latest first and alone, and never after its job's end.
    """

    def __init__(self, courier: Courier, *, every_s: float = PROGRESS_EVERY_S) -> None:
        self._courier = courier
        self._every_s = every_s
        self._wake = threading.Condition()
        self._ended: deque[JobRecord] = deque()
        self._progress: tuple[JobRecord, Progress] | None = None
        self._told_at = -every_s
        self._told = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def progress(self, record: JobRecord, progress: Progress) -> None:
        """The job that this worker runs is so far."""
        if record.webhook is not None and "progress" in record.webhook.events:
            with self._wake:
                self._progress = (record, progress)
                self._start()

    def progress_ends(self) -> None:
        """The job that this worker ran runs no more: what was not told of its progress is not told."""
        with self._wake:
            self._progress = None

    def ended(self, record: JobRecord) -> None:
        """The job is over, as `record` says, if its webhook is due."""
        with self._wake:
            self._progress = None
            if record.webhooks_due and len(self._ended) < MOST_WAITING:
                self._ended.append(record)
                self._start()

    def close(self) -> None:
        """End the thread, after what waits to be sent, or after some seconds."""
        with self._wake:
            self._closed = True
            self._progress = None
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSING_S)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="webhooks", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _loop(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except ServerlessError as exc:  # the store does not answer: it stays due, and the sweeper finds it
                _log.warning("webhook: %s", exc.message)
            except Exception:  # the thread outlives a defect, else no later job would be told of
                _log.exception("webhook failed")

    def _next(self) -> _Call | None:
        """The next call, once there is one; None at the end."""
        with self._wake:
            while True:
                if self._ended:
                    record = self._ended.popleft()
                    return lambda: self._courier.has_time(record) and self._courier.deliver(record)
                if self._closed:
                    return None
                rest_s = self._told_at + self._every_s - time.monotonic()
                if self._progress is not None and rest_s <= 0:
                    return self._progress_call(*self._progress)
                self._wake.wait(None if self._progress is None else rest_s)

    def _progress_call(self, record: JobRecord, progress: Progress) -> _Call:
        self._progress = None
        self._told_at = time.monotonic()
        self._told += 1
        number = self._told
        return lambda: self._courier.tell_progress(record, progress, number)
