"""Workflows that nobody should send: none of them is a 5xx, and the worker is alive behind them all."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BOUNDED, WHOLE = 150, 5_000

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 7}},
    "2": {"class_type": "ImageScale", "inputs": {
        "image": ["1", 0], "upscale_method": "bilinear", "width": 8, "height": 8, "crop": "disabled"}},
    "3": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a/b"}},
}  # fmt: skip
Place = tuple[Any, ...]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
tricky = st.sampled_from(
    [
        *(["1", 0], ["4", 0], ["1", 9], ["1", -1], ["1", 1e308], ["9", 0], [1, 0], [], {}, {"__value__": ["1", 0]}),
        *("../../etc/passwd", "\ud800", "\0", "%batch_num%", "EmptyImage", "a" * 5_000),
        *(-1, 2**80, float("nan"), {"class_type": "EmptyImage"}),
    ]
)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where something lies within the value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*place, key)
        yield from places(child, (*place, key))


def put(value: Any, place: Place, other: Any) -> None:
    *way, last = place
    for key in way:
        value = value[key]
    value[last] = other


@st.composite
def malformed(draw: Callable[..., Any]) -> Any:
    """A good graph with one to three things in the place of others, or no graph at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(anything)
    graph = copy.deepcopy(GRAPH)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(sorted(places(graph), key=str)))
        put(graph, place, copy.deepcopy(draw(tricky | anything)))
    return graph


def throw(api: TestClient, *, count: int) -> None:
    """Send so many, and then a good one."""

    @settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(workflow=malformed(), path=st.sampled_from(["execute", "execute", "validate", "batch"]))
    def sent(workflow: Any, path: str) -> None:
        body = {"workflow": workflow, **({"overrides": [{}]} if path == "batch" else {})}
        answer = api.post(f"/workflows/{path}", content=json.dumps(body))
        assert answer.status_code < 500, answer.text

    sent()
    result = api.post("/workflows/execute?wait=300", json={"workflow": GRAPH}).json()
    assert result["status"] == "completed"


@pytest.fixture(scope="module")
def open_to_all(open_api: Callable[..., TestClient]) -> TestClient:
    api = open_api()
    assert api.post("/workflows/execute?wait=60", json={"workflow": GRAPH}).json()["status"] == "completed"  # it is up
    return api


@pytest.mark.parametrize("half", ['"class_type": "\\ud800"', '"class_type": "A", "_meta": {"title": "\\udfff"}'])
@pytest.mark.parametrize("path", ["workflows/execute", "workflows/validate", "workflows/convert", "templates/half"])
def test_half_a_character_is_refused_wherever_it_is(open_to_all: TestClient, path: str, half: str) -> None:
    body = f'{{"workflow": {{"1": {{"inputs": {{}}, {half}}}}}}}'
    answer = open_to_all.request("PUT" if "templates" in path else "POST", f"/{path}", content=body)
    assert answer.status_code == 422, answer.text
    assert open_to_all.get("/templates/half").status_code == 404


def test_malformed_workflows_are_answered_and_the_worker_lives(open_to_all: TestClient) -> None:
    throw(open_to_all, count=BOUNDED)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_malformed_workflows_are_answered_and_the_worker_lives(open_to_all: TestClient) -> None:
    throw(open_to_all, count=WHOLE)
