"""Cancels, deadlines and failing nodes at random, mixed with good jobs on one worker."""

from __future__ import annotations

import base64
import io
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from runtime.cancellation import CancelFlag
from runtime.progress import Progress
from runtime.result import JobResult

Run = Callable[..., JobResult]
Make = Callable[..., dict[str, Any]]
FOR_EVER = 10**9


class Mix:
    """Jobs of every kind, drawn by `draw`; each method runs one and checks its end."""

    def __init__(self, run: Run, node: Make, wait: Any, draw: random.Random) -> None:
        self._run = run
        self._node = node
        self._wait = wait
        self._draw = draw

    def good(self) -> None:
        color, turns = self._draw.randrange(1 << 24), self._draw.randrange(6)
        result = self._run(self._graph(color, turns), output={"delivery": "base64"})
        assert result.status == "completed", result.error
        (output,) = result.outputs
        expected = color if turns % 2 == 0 else 0xFFFFFF - color
        with Image.open(io.BytesIO(base64.b64decode(output.data or ""))) as picture:
            lows_and_highs = picture.convert("RGB").getextrema()
        for place, (low, high) in zip((16, 8, 0), lows_and_highs, strict=True):
            wanted = (expected >> place) & 255
            assert wanted - 1 <= low == high <= wanted, "a picture of another job"  # ComfyUI rounds downwards

    def cancelled_at_a_step(self) -> None:
        flag, left = CancelFlag(), [self._draw.randrange(1, 60)]

        def count(progress: Progress) -> None:
            left[0] -= 1
            if left[0] == 0:
                flag.set()

        self._ends(self._endless(), "cancelled", "cancelled", cancel=flag, on_progress=count)

    def cancelled_from_outside(self) -> None:
        flag = CancelFlag()
        self._wait.entered.clear()
        canceller = threading.Thread(target=lambda: self._wait.entered.wait(20) and flag.set())
        canceller.start()
        self._ends(self._endless(), "cancelled", "cancelled", cancel=flag)
        canceller.join()

    def cancelled_before_it_starts(self) -> None:
        flag = CancelFlag()
        flag.set()
        self._ends(self._endless(), "cancelled", "cancelled", cancel=flag)

    def past_its_deadline(self) -> None:
        self._ends(self._endless(), "timed_out", "timed_out", timeout_s=self._draw.uniform(0.001, 0.15))

    def failing(self) -> None:
        graph = self._graph(self._draw.randrange(1 << 24), self._draw.randrange(6))
        image = graph["save"]["inputs"]["images"]
        graph["fail"] = self._node("TestFail", image=image, message=f"no luck {self._draw.random()}")
        graph["save"]["inputs"]["images"] = ["fail", 0]
        self._ends(graph, "failed", "node_failed")

    def refused(self) -> None:
        graph = self._graph(0, 1)
        graph["save"]["inputs"]["images"] = ["nowhere", 0]
        self._ends(graph, "failed", "graph_rejected")

    def _ends(self, graph: dict[str, Any], status: str, code: str, **fields: Any) -> None:
        result = self._run(graph, **fields)
        assert (result.status, result.error and result.error.code) == (status, code)
        assert result.outputs == ()

    def _graph(self, color: int, turns: int) -> dict[str, Any]:
        graph = {"0": self._node("EmptyImage", width=16, height=8, batch_size=1, color=color)}
        for turn in range(turns):
            graph[str(turn + 1)] = self._node("ImageInvert", image=[str(turn), 0])
        return {**graph, "save": self._node("SaveImage", images=[str(turns), 0], filename_prefix="mixed")}

    def _endless(self) -> dict[str, Any]:
        graph = self._graph(self._draw.randrange(1 << 24), self._draw.randrange(4))
        image = graph["save"]["inputs"]["images"]
        graph["wait"] = self._node("TestWait", image=image, count=FOR_EVER)
        graph["save"]["inputs"]["images"] = ["wait", 0]
        return graph


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_every_job_of_a_mix_ends_as_it_should(count: int, run: Run, node: Make, own_class: Any) -> None:
    draw = random.Random(20_261_124)
    mix = Mix(run, node, own_class("TestWait"), draw)
    bad = [
        mix.cancelled_at_a_step,
        mix.cancelled_from_outside,
        mix.cancelled_before_it_starts,
        mix.past_its_deadline,
        mix.failing,
        mix.refused,
    ]
    done: Counter[str] = Counter()
    while done.total() - done["good"] < count:
        job = draw.choice([*bad, *[mix.good] * len(bad)])
        job()
        done[job.__name__] += 1
    assert len(done) == len(bad) + 1, done
    mix.good()
