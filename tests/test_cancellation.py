from __future__ import annotations

import pytest

from runtime.cancellation import CancelFlag
from runtime.clock import ManualClock
from runtime.errors import Cancelled, LeaseLost, TimedOut


def test_a_flag_that_nobody_set_lets_the_job_go_on() -> None:
    flag = CancelFlag()
    flag.check()
    assert not flag.is_set


def test_a_set_flag_ends_the_job_as_cancelled() -> None:
    flag = CancelFlag()
    flag.set()
    assert flag.is_set
    with pytest.raises(Cancelled):
        flag.check()


def test_the_first_reason_stands() -> None:
    flag = CancelFlag()
    flag.set(LeaseLost("gone"))
    flag.set()
    with pytest.raises(LeaseLost):
        flag.check()


def test_a_deadline_ends_the_job_when_it_is_reached() -> None:
    clock = ManualClock()
    flag = CancelFlag(timeout_s=5, clock=clock.monotonic)
    clock.advance(4.9)
    flag.check()
    clock.advance(0.1)
    assert flag.is_set
    with pytest.raises(TimedOut, match="timeout_s of 5 s"):
        flag.check()


def test_a_deadline_may_begin_later() -> None:
    clock = ManualClock()
    flag = CancelFlag(clock=clock.monotonic)
    clock.advance(100)
    flag.limit(5)
    flag.check()
    clock.advance(5)
    assert flag.is_set


def test_a_cancel_goes_before_a_deadline() -> None:
    flag = CancelFlag(timeout_s=0)
    flag.set()
    with pytest.raises(Cancelled):
        flag.check()
