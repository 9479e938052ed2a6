"""The chaos run in its short form: every kind of job, workers killed by a job, and one that is told to stop."""

from __future__ import annotations

import pytest

from scripts.bench.chaos import Plan, run

SHORT = Plan(
    jobs=12,
    workers=2,
    seed=4,
    kill_every_s=4.0,
    kills=1,
    poison_attempts=1,
    speed=30.0,
    lost_after_s=2.0,
    sweep_every_s=0.5,
    stall_s=100.0,
)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(SHORT, id="short", marks=pytest.mark.timeout(900)),  # it waits for progress, not for a time
        pytest.param(
            Plan(jobs=500, workers=4, seed=1, kill_every_s=8, kills=1_000),
            id="full",
            marks=[pytest.mark.slow, pytest.mark.timeout(3_600)],
        ),
    ],
)
def test_every_job_ends_once_in_its_right_state_with_its_own_outputs_and_is_told_of(plan: Plan) -> None:
    report = run(plan)
    assert (report.wrong, report.stalled) == ({}, []), "\n".join(report.lines())
    assert report.left_in_queues == 0
    assert sum(report.ends.values()) == plan.jobs
