"""Progress between threads: at most once an interval, never a wait, never an error."""

from __future__ import annotations

import asyncio

from runtime.progress import Preview, Progress
from runtime.progress_relay import ProgressRelay

PICTURE = Preview(data=b"jpeg", width=8, height=8)


def steps_seen(at_s: list[float], *, interval_s: float = 1.0, shown_at: int | None = None) -> list[int]:
    """Which of the steps, reported at these seconds, reach the sink; the one `shown_at` has a preview."""
    seen: list[int] = []
    times = iter([0.0, *at_s])

    async def report() -> None:
        relay = ProgressRelay(
            lambda progress: seen.append(progress.step),
            loop=asyncio.get_running_loop(),
            interval_s=interval_s,
            clock=lambda: next(times),
        )
        for step in range(len(at_s)):
            relay(Progress(step=step, preview=PICTURE if step == shown_at else None))
        await asyncio.sleep(0)

    asyncio.run(report())
    return seen


def test_the_first_report_is_passed_on_at_once() -> None:
    assert steps_seen([0.0]) == [0]


def test_reports_within_the_interval_are_dropped() -> None:
    assert steps_seen([0.0, 0.4, 0.999, 1.0, 1.9, 2.5]) == [0, 3, 5]


def test_a_report_with_a_preview_is_never_dropped() -> None:
    assert steps_seen([0.0, 0.4, 0.9, 1.3, 1.5], shown_at=1) == [0, 1, 4]


def test_a_closed_loop_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    relay = ProgressRelay(lambda progress: None, loop=loop)
    loop.close()
    relay(Progress())
