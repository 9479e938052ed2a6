from __future__ import annotations

import pytest

from runtime.api.errors import RateLimited
from runtime.api.rates import HOUR_S, MINUTE_S, RateLimits
from runtime.clock import ManualClock
from runtime.documents.store import DocumentStore


def test_one_request_too_many_says_when_to_ask_again(documents: DocumentStore, clock: ManualClock) -> None:
    limits = RateLimits(documents, {MINUTE_S: 2}, clock=clock)
    limits.count("key")
    limits.count("key")
    with pytest.raises(RateLimited, match="more than 2 requests within 60 s") as caught:
        limits.count("key")
    clock.advance(caught.value.retry_after_s)
    limits.count("key")


def test_credentials_are_counted_apart(documents: DocumentStore, clock: ManualClock) -> None:
    limits = RateLimits(documents, {MINUTE_S: 1}, clock=clock)
    limits.count("a")
    limits.count("b")


def test_every_window_has_its_own_bound(documents: DocumentStore, clock: ManualClock) -> None:
    limits = RateLimits(documents, {HOUR_S: 2, MINUTE_S: 1}, clock=clock)
    limits.count("key")
    clock.advance(MINUTE_S)
    limits.count("key")
    clock.advance(MINUTE_S)
    with pytest.raises(RateLimited, match="within 3600 s"):
        limits.count("key")


def test_instances_count_together(documents: DocumentStore, clock: ManualClock) -> None:
    first, second = (RateLimits(documents, {MINUTE_S: 1}, clock=clock) for _ in range(2))
    first.count("key")
    with pytest.raises(RateLimited):
        second.count("key")


def test_zero_is_no_bound(documents: DocumentStore, clock: ManualClock) -> None:
    limits = RateLimits(documents, {MINUTE_S: 0}, clock=clock)
    for _ in range(100):
        limits.count("key")
