from __future__ import annotations

from itertools import pairwise

import pytest

from runtime.errors import (
    DeviceLost,
    GraphRejected,
    Internal,
    ModelMissing,
    NodeFailed,
    OutOfMemory,
    ServerlessError,
    StorageUnavailable,
)
from runtime.retries import LONGEST_DELAY_S, Requeue, may_retry, retry_delay_s


@pytest.mark.parametrize("error", [GraphRejected("no"), ModelMissing("no"), NodeFailed("no")], ids=lambda e: e.code)
def test_what_is_wrong_with_the_job_itself_is_never_tried_again(error: ServerlessError) -> None:
    assert not may_retry(error, "anywhere")


@pytest.mark.parametrize(
    ("error", "requeue", "expected"),
    [
        (StorageUnavailable("away"), "anywhere", True),
        (StorageUnavailable("away"), "here", True),
        (StorageUnavailable("away"), "never", False),
        (Internal("a defect"), "here", True),
        (DeviceLost("gone"), "anywhere", True),
        (DeviceLost("gone"), "here", False),
        (OutOfMemory("full"), "here", False),
    ],
)
def test_a_worker_does_not_try_again_what_only_another_can(
    error: ServerlessError, requeue: Requeue, expected: bool
) -> None:
    assert may_retry(error, requeue) is expected


def test_each_attempt_waits_longer_up_to_a_minute() -> None:
    delays = [retry_delay_s(attempt, draw=lambda: 1.0) for attempt in range(1, 9)]
    assert all(first <= second for first, second in pairwise(delays))
    assert (delays[0], delays[-1]) == (2.0, LONGEST_DELAY_S)


def test_jobs_that_fail_together_come_back_apart() -> None:
    assert retry_delay_s(3, draw=lambda: 0.0) == retry_delay_s(3, draw=lambda: 1.0) / 2
