"""Who brings a job that was stored to a worker."""

from __future__ import annotations

from typing import Protocol

from runtime.jobs.record import Dispatch, JobKey
from runtime.request import JobRequest


class Dispatcher(Protocol):
    """Sends stored jobs to workers. A job may be sent more than once: the store lets one worker have it."""

    @property
    def dispatch(self) -> Dispatch:
        """What a job's record says of where it was sent."""

    @property
    def within_s(self) -> float:
        """By when a job that was sent is claimed, if all is well: after that it may be sent again."""

    def check(self, request: JobRequest) -> None:
        """Raises InvalidRequest for a request that cannot be brought to a worker from here; before it is stored."""

    def send(self, key: JobKey, request: JobRequest) -> None:
        """Bring the job to a worker. Returns at once. Raises StateUnavailable where it cannot be sent now."""

    def cancel(self, key: JobKey) -> None:
        """Let the worker know, if that is faster than the store; nothing happens to a job that is not here."""
