"""Whether an attempt that failed is made again, by whom, and how soon."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from runtime.errors import DeviceLost, OutOfMemory, ServerlessError

Requeue = Literal["never", "here", "anywhere"]
"""Who brings a job again that has not ended: nobody, the caller to this worker, or its queue to any worker."""

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 60.0

_OF_THIS_WORKER = (DeviceLost, OutOfMemory)
"""What the same worker would only meet again."""


def may_retry(error: ServerlessError, requeue: Requeue) -> bool:
    """Whether another attempt may mend `error` where `requeue` says who would make it."""
    if requeue == "never" or not error.retryable:
        return False
    return requeue == "anywhere" or not isinstance(error, _OF_THIS_WORKER)


def retry_delay_s(attempt: int, draw: Callable[[], float] = random.random) -> float:
    """How long the attempt after `attempt` waits: twice as long each time, up to LONGEST_DELAY_S.

    It is drawn from the upper half, so that jobs which failed together do not come back together.
    """
    longest: float = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (attempt - 1))
    return longest * (1 + draw()) / 2
