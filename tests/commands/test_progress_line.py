from __future__ import annotations

import io
import time

import pytest

from runtime.commands.progress_line import ProgressLine
from runtime.progress import Progress


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def line(screen: io.StringIO) -> ProgressLine:
    return ProgressLine(screen, "cat.json", shown=True)


def at(step: int, *, node_id: str = "3") -> Progress:
    return Progress(node_id=node_id, class_type="KSampler", nodes_done=4, nodes_total=7, step=step, steps=20)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the monotonic clock shows: set its one item."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_before_the_first_progress_the_job_is_starting(line: ProgressLine) -> None:
    assert line.text(0) == "cat.json: starting"


def test_it_tells_the_node_and_the_step(line: ProgressLine) -> None:
    line.update(at(5))
    assert line.text(0) == "cat.json: KSampler (3), node 5 of 7, step 5 of 20"


def test_a_node_without_steps_tells_none(line: ProgressLine) -> None:
    line.update(Progress(node_id="1", class_type="Loader", nodes_done=0, nodes_total=7))
    assert line.text(0) == "cat.json: Loader (1), node 1 of 7"


def test_it_tells_the_time_that_is_left(line: ProgressLine, stopped: list[float]) -> None:
    for step in (0, 1, 2, 3, 4, 5):
        stopped[0] = 100.0 + 2 * step
        line.update(at(step))
    assert line.text(110.0).endswith("30 s left")
    assert line.text(111.0).endswith("29 s left")


def test_the_time_left_is_never_below_zero(line: ProgressLine, stopped: list[float]) -> None:
    line.update(at(0))
    stopped[0] = 101.0
    line.update(at(19))
    assert line.text(1000.0).endswith(" 0 s left")


def test_another_node_starts_its_own_count(line: ProgressLine, stopped: list[float]) -> None:
    line.update(at(0))
    stopped[0] = 200.0
    line.update(at(10))
    line.update(at(0, node_id="4"))
    assert "left" not in line.text(200.0)


def test_the_same_nodes_second_pass_starts_its_own_count(line: ProgressLine, stopped: list[float]) -> None:
    line.update(at(15))
    stopped[0] = 200.0
    line.update(at(1))
    assert "left" not in line.text(200.0)


def test_it_is_drawn_over_itself_and_taken_away(line: ProgressLine, screen: io.StringIO) -> None:
    line.update(at(5))
    line.draw(0)
    line.draw(0)
    line.clear()
    assert screen.getvalue().count("\r\x1b[K") == 3
    assert screen.getvalue().endswith("\r\x1b[K")
    assert "\n" not in screen.getvalue()


def test_it_is_no_wider_than_the_terminal(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    ProgressLine(screen, "a-very-long-name-of-a-workflow.json", shown=True).draw(0)
    assert len(screen.getvalue().removeprefix("\r\x1b[K")) == 19


def test_where_nobody_looks_nothing_is_drawn(screen: io.StringIO) -> None:
    line = ProgressLine(screen, "cat.json", shown=False)
    line.update(at(5))
    line.draw(0)
    line.clear()
    assert screen.getvalue() == ""
