"""What an API without a worker knows of its workers' nodes: what they told in the shared store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runtime.api.advice import KEPT_S, NothingTold, ToldAdviser
from runtime.build import build_artifacts, build_engines, build_jobs
from runtime.clock import ManualClock
from runtime.engines.choice import Engines
from runtime.node_listing import NodeListing
from runtime.request import JobRequest
from runtime.settings import Settings

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
Tell = Callable[[Engines], None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"STORAGE_BASE_PATH": str(tmp_path), "DEVICE": "cpu"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def adviser(settings: Settings, clock: ManualClock) -> Iterator[ToldAdviser]:
    artifacts = build_artifacts(settings)
    jobs = build_jobs(settings, clock, artifacts)
    yield ToldAdviser(artifacts, jobs, clock=clock, max_nodes=100)
    jobs.close()


@pytest.fixture
def tell(settings: Settings) -> Tell:
    """Tells of engines as a worker does, and waits until it is told."""

    def told(engines: Engines) -> None:
        with ThreadPoolExecutor(1) as background:
            NodeListing(build_artifacts(settings), background, deployment="default").tell(engines)

    return told


@pytest.fixture
def native(settings: Settings) -> Engines:
    """A worker's engines, of which the native one has run."""
    engines = build_engines(settings)
    engines.get("native")
    return engines


def beside_comfyui(native: Engines) -> Engines:
    """The same with ComfyUI beside it, which no job has needed yet."""

    def never() -> Any:
        raise AssertionError("ComfyUI was booted to tell of it")

    engines = Engines({"native": lambda: native.get("native"), "comfyui": never}, default="auto")
    engines.get("native")
    return engines


def request(**changed: Any) -> JobRequest:
    return JobRequest.parse({"workflow": {**GRAPH, **changed}})[0]


def test_nothing_is_known_until_a_worker_has_told(adviser: ToldAdviser, tell: Tell, native: Engines) -> None:
    with pytest.raises(NothingTold, match="no worker of this deployment has told"):
        adviser.object_info()
    tell(native)
    assert adviser.object_info() == native.object_info()


def test_a_graph_is_checked_by_what_was_told(adviser: ToldAdviser, tell: Tell, native: Engines) -> None:
    tell(native)
    engine, report = adviser.check(request(), "ada")
    assert (engine, report.outputs, report.error) == ("native", ("2",), None)
    _, report = adviser.check(request(**{"1": {"class_type": "EmptyImage", "inputs": {"width": "wide"}}}), "ada")
    assert [error["type"] for error in report.node_errors["1"]["errors"]] == [
        "invalid_input_type",
        "required_input_missing",
        "required_input_missing",
        "required_input_missing",
    ]


def test_a_class_that_nobody_has_is_wrong_once_every_engine_was_told_of(
    adviser: ToldAdviser, tell: Tell, native: Engines
) -> None:
    tell(native)
    _, report = adviser.check(request(**{"1": {"class_type": "Nowhere", "inputs": {}}}), "ada")
    assert report.error is not None
    assert report.error.code == "unknown_node"


def test_before_that_it_is_left_to_the_worker(adviser: ToldAdviser, tell: Tell, native: Engines) -> None:
    tell(beside_comfyui(native))
    assert adviser.check(request(), "ada")[0] == "native"
    with pytest.raises(NothingTold, match="has not run yet"):
        adviser.check(request(**{"1": {"class_type": "Nowhere", "inputs": {}}}), "ada")


def test_what_is_told_is_read_again_after_a_while(
    adviser: ToldAdviser, tell: Tell, native: Engines, clock: ManualClock, settings: Settings
) -> None:
    tell(native)
    adviser.object_info()
    build_artifacts(settings).delete("nodes/default/native.json.gz")
    assert "SaveImage" in adviser.object_info()
    clock.advance(KEPT_S)
    with pytest.raises(NothingTold):
        adviser.object_info()


def test_the_editors_format_is_converted_and_time_estimated(adviser: ToldAdviser, tell: Tell, native: Engines) -> None:
    tell(native)
    assert adviser.convert(request()) == GRAPH
    assert adviser.estimate(request(), "ada") == ("native", None)
