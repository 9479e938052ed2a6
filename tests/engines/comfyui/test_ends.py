"""Jobs that do not end well, and the next one after them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from runtime.cancellation import CancelFlag
from runtime.progress import Progress
from runtime.result import JobResult

Run = Callable[..., JobResult]
Make = Callable[..., dict[str, Any]]
FOR_EVER = 10**9


@pytest.fixture
def endless(graph: Make, node: Make) -> dict[str, Any]:
    wait = node("TestWait", image=["image", 0], count=FOR_EVER)
    return graph(wait=wait, show=node("PreviewImage", images=["wait", 0]))


@pytest.fixture
def good(graph: Make, node: Make) -> dict[str, Any]:
    return graph(show=node("PreviewImage", images=["image", 0]))


def test_a_cancel_ends_the_job_within_a_step_and_the_next_one_runs(
    run: Run, endless: Any, good: Any, own_class: Any
) -> None:
    flag, entered = CancelFlag(), own_class("TestWait").entered
    entered.clear()
    canceller = threading.Thread(target=lambda: entered.wait(20) and flag.set())
    canceller.start()
    result = run(endless, cancel=flag)
    canceller.join()
    assert (result.status, result.error and result.error.code) == ("cancelled", "cancelled")
    assert run(good).status == "completed"


def test_a_cancel_between_two_nodes_ends_the_job(run: Run, graph: Make, node: Make, own_class: Any) -> None:
    flag, count = CancelFlag(), own_class("TestCount")
    made = graph(first=node("ImageInvert", image=["image", 0]),
                 second=node("TestCount", image=["first", 0], name="after cancel"),
                 show=node("PreviewImage", images=["second", 0]))  # fmt: skip

    def cancel(progress: Progress) -> None:
        if progress.node_id == "first":
            flag.set()

    assert run(made, cancel=flag, on_progress=cancel).status == "cancelled"
    assert "after cancel" not in count.runs


def test_a_job_that_was_cancelled_before_it_started_runs_no_node(
    run: Run, graph: Make, node: Make, own_class: Any
) -> None:
    flag = CancelFlag()
    flag.set()
    made = graph(count=node("TestCount", image=["image", 0], name="never"),
                 show=node("PreviewImage", images=["count", 0]))  # fmt: skip
    assert run(made, cancel=flag).status == "cancelled"
    assert "never" not in own_class("TestCount").runs


def test_a_deadline_ends_the_job_and_the_next_one_runs(run: Run, endless: Any, good: Any) -> None:
    assert run(endless, timeout_s=0.3).status == "timed_out"
    assert run(good).status == "completed"


def test_out_of_memory_is_tried_once_more_and_nothing_is_delivered_twice(
    run: Run, graph: Make, node: Make, own_class: Any
) -> None:
    own_class("TestOutOfMemory").calls = 0
    memory = node("TestOutOfMemory", image=["early", 0], times=1, run="mended")
    made = graph(early=node("TestSaveByExpansion", image=["image", 0]), memory=memory,
                 show=node("PreviewImage", images=["memory", 0]))  # fmt: skip
    result = run(made)
    assert result.status == "completed", result.error
    assert [output.filename for output in result.outputs if not output.temporary] == ["inner_00001_.png"]
    assert own_class("TestOutOfMemory").calls == 2


def test_out_of_memory_twice_fails_the_job_and_the_next_one_runs(
    run: Run, graph: Make, node: Make, good: Any, own_class: Any
) -> None:
    own_class("TestOutOfMemory").calls = 0
    memory = node("TestOutOfMemory", image=["image", 0], times=9, run="for good")
    result = run(graph(memory=memory, show=node("PreviewImage", images=["memory", 0])))
    assert result.error is not None
    assert (result.error.code, result.error.node_id, result.error.retryable) == ("out_of_memory", "memory", True)
    assert own_class("TestOutOfMemory").calls == 2
    assert run(good).status == "completed"
