"""No workflow, however broken, ends conversion in anything but API format or an error of the tree."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import GraphRejected, ServerlessError
from scripts.ui_reference.cases import Sketch, sampler, save

CASES = json.loads((Path(__file__).parent / "cases.json").read_text(encoding="utf-8"))
Converted = Callable[[Any], dict[str, Any]]

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-30, 30), st.just(10**400), st.floats(), st.text(max_size=5), st.just(-10)
)
VALUES = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=4), each), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, each in pairs for way in places(each, (*path, key)))]


def put(workflow: Any, path: tuple[Any, ...], value: Any) -> None:
    *way, last = path
    for key in way:
        workflow = workflow[key]
    workflow[last] = value


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_workflow_with_anything_in_any_place_is_converted_or_refused(
    data: st.DataObject, converted: Converted
) -> None:
    workflow = copy.deepcopy(CASES[data.draw(st.sampled_from(sorted(CASES)))]["workflow"])
    for _ in range(data.draw(st.integers(1, 3))):
        ways = [way for way in places(workflow) if way]
        put(workflow, data.draw(st.sampled_from(ways)), data.draw(VALUES))
    try:
        sent = converted(workflow)
    except ServerlessError:
        return
    assert all(set(node) == {"inputs", "class_type", "_meta"} for node in sent.values())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ends=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20),
    kinds=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_links_between_virtual_and_bypassed_nodes_always_end(
    ends: list[tuple[int, int]], kinds: list[int], converted: Converted
) -> None:
    made = Sketch()
    types = (("Reroute", 0), ("ImageInvert", 4), ("ImageInvert", 0), ("SaveImage", 0))
    nodes = [
        made.node(
            types[kind][0],
            inputs=(("images" if kind == 3 else "image", "IMAGE"),),
            outputs=("IMAGE",),
            mode=types[kind][1],
        )
        for kind in kinds
    ]
    for origin, target in ends:
        made.link(nodes[origin], 0, nodes[target], 0)
    try:
        sent = converted(made.saved())
    except GraphRejected:
        return
    links = [value for node in sent.values() for value in node["inputs"].values() if isinstance(value, list)]
    assert all(link[0] in sent for link in links)


@pytest.mark.timeout(20)
def test_a_long_chain_is_followed_once() -> None:
    """Quadratic work would take minutes: 4,000 nodes that each hang on the same 4,000 reroutes."""
    from datetime import datetime

    from runtime.graph.ui.convert import convert
    from runtime.graph.ui.document import read_document

    made = Sketch()
    last = made.node("EmptyImage", outputs=("IMAGE",))
    for _ in range(4000):
        passed = made.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",))
        made.link(last, 0, passed, 0)
        last = passed
    for _ in range(4000):
        made.link(last, 0, save(made), 0)
    info = {name: {"input": {"required": {}}, "output": ["IMAGE"]} for name in ("EmptyImage", "SaveImage")}
    sent = convert(
        read_document(made.saved()), info, choose=lambda count: 0, now=datetime(2026, 1, 1), max_nodes=10_000
    )
    assert sum(node["inputs"].get("images") == ["1", 0] for node in sent.values()) == 4000


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["/*" * 200_000, "{" * 100_000, "{|" * 50_000, "%a" * 200_000, "//" * 200_000], ids=len
)
def test_a_hostile_prompt_costs_no_more_than_its_length(text: str, converted: Converted) -> None:
    made = Sketch()
    made.node("CLIPTextEncode", [text], inputs=(("clip", "CLIP"),), outputs=("CONDITIONING",))
    save(made, text)
    sampler(made, [])
    assert len(converted(made.saved())) == 3
