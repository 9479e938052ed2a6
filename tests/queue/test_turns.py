from __future__ import annotations

from collections import Counter

from runtime.queue.turns import order_of


def test_each_lower_priority_gets_an_eighth_while_every_queue_is_full() -> None:
    assert Counter(order_of(turn)[0] for turn in range(800)) == {"high": 600, "normal": 100, "low": 100}


def test_every_turn_looks_into_every_queue() -> None:
    assert all(sorted(order_of(turn)) == ["high", "low", "normal"] for turn in range(8))


def test_high_comes_first_to_an_idle_worker() -> None:
    assert order_of(0) == ("high", "normal", "low")
