from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.engines.native.calls import ExecutionBlocker
from runtime.errors import GraphRejected, NodeFailed

WANTS = {"required": {"x": ("INT",)}, "hidden": {"me": "UNIQUE_ID"}, "returns": ("INT",)}
ONE = ("Number", {"value": 1})


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def show(id: str = "e") -> tuple[str, dict[str, Any]]:
    return "Show", {"value": [id, 0]}


@pytest.fixture
def expand(bench: Any) -> Callable[..., None]:
    """Makes `Expand` a node that returns what it is told to."""

    def of(answer: Any, **declared: Any) -> None:
        bench.add("Expand", lambda x, me: answer, **{**WANTS, **declared})

    return of


def run(bench: Any, **more: Any) -> Any:
    return bench.run({"n": ONE, "e": ("Expand", {"x": ["n", 0]}), "o": show(), **more})


def test_the_graph_that_a_node_returns_stands_for_it(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Sum", a=5, b=6)}, "result": (["e.1", 0],)})
    run(bench)
    assert bench.shown == [11]


def test_it_may_use_nodes_of_the_workflow(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Sum", a=["n", 0], b=["far", 0])}, "result": (["e.1", 0],)})
    run(bench, far=("Number", {"value": 40}), p=show("far"))
    assert 41 in bench.shown


def test_it_may_use_a_node_whose_result_was_let_go_of(bench: Any, expand: Any) -> None:
    ran: list[int] = []
    bench.cache = type(bench.cache)(0)
    bench.add("Count", lambda: (ran.append(1) or len(ran),), returns=("INT",))
    expand({"expand": {"e.1": node("Sum", a=["gone", 0], b=100)}, "result": (["e.1", 0],)})
    nodes = {"gone": ("Count", {}), "p": show("gone"), "n": ONE, "e": ("Expand", {"x": ["n", 0]}), "o": show()}
    bench.run(nodes)
    assert (bench.shown, ran) == ([1, 102], [1, 1])


def test_it_may_use_a_node_that_nothing_needed_so_far(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Sum", a=["far", 0], b=1)}, "result": (["e.1", 0],)})
    run(bench, far=("Sum", {"a": 20, "b": 1}))
    assert bench.shown == [22]


def test_its_results_may_be_values_beside_links(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Number", value=3)}, "result": (["e.1", 0], 7)}, returns=("INT", "INT"))
    run(bench, p=("Show", {"value": ["e", 1]}))
    assert bench.shown == [3, 7]


def test_its_results_may_be_blocked(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Show", value=3)}, "result": ExecutionBlocker()})
    run(bench)
    assert bench.shown == [3]


def test_a_blocked_list_output_is_blocked(bench: Any, expand: Any) -> None:
    expand({"expand": {}, "result": (ExecutionBlocker(),)}, OUTPUT_IS_LIST=(True,))
    run(bench)
    assert bench.shown == []


def test_a_linked_result_brings_all_the_values_of_a_list(bench: Any, expand: Any) -> None:
    bench.add("List", lambda: ([1, 2],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    expand({"expand": {"e.1": node("List")}, "result": (["e.1", 0],)})
    run(bench)
    assert bench.shown == [1, 2]


def test_an_empty_graph_may_pass_links_on(bench: Any, expand: Any) -> None:
    expand({"expand": {}, "result": (["n", 0],)})
    run(bench)
    assert bench.shown == [1]


def test_each_call_may_return_a_graph_of_its_own(bench: Any) -> None:
    bench.add("List", lambda: ([5, 6],), returns=("INT",), OUTPUT_IS_LIST=(True,))

    def answer(x: int, me: str) -> Any:
        return {"expand": {f"{me}.{x}": node("Sum", a=x, b=1)}, "result": ([f"{me}.{x}", 0],)} if x == 5 else (x,)

    bench.add("Expand", answer, **WANTS)
    bench.run({"l": ("List", {}), "e": ("Expand", {"x": ["l", 0]}), "o": show()})
    assert bench.shown == [6, 6]


def test_output_nodes_of_the_graph_run_though_nothing_reads_them(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Show", value=9)}, "result": (3,)})
    run(bench)
    assert sorted(bench.shown) == [3, 9]


def test_output_nodes_of_the_graph_run_again_in_the_next_job(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Show", value=9)}, "result": (["n", 0],)})
    graph = {"n": ONE, "e": ("Expand", {"x": ["n", 0]}), "s": ("Sum", {"a": ["e", 0], "b": 1}), "o": show("s")}
    bench.run(graph)
    bench.shown.clear()
    bench.run(graph)
    assert sorted(bench.shown) == [2, 9]


def test_an_expansion_without_output_nodes_is_cached_with_its_result(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Sum", a=5, b=6)}, "result": (["e.1", 0],)})
    run(bench)
    execution = run(bench)
    assert (execution.cached_nodes, bench.shown) == (("e",), [11, 11])


def test_the_same_nodes_in_another_jobs_expansion_come_from_the_cache(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Sum", a=5, b=6)}, "result": (["e.1", 0],)})
    run(bench)
    again = bench.run({"n": ("Number", {"value": 2}), "e": ("Expand", {"x": ["n", 0]}), "o": show()})
    assert again.cached_nodes == ("e.1",)


def loop(x: int, me: str) -> Any:
    """Counts up to 300, one graph within the other."""
    if x >= 300:
        return (x,)
    graph = {f"{me}+": node("Sum", a=x, b=1), f"{me}.": node("Expand", x=[f"{me}+", 0])}
    return {"expand": graph, "result": ([f"{me}.", 0],)}


def test_a_loop_by_expansion_runs(bench: Any) -> None:
    bench.add("Expand", lambda x, me: loop(x, str(x)), **WANTS)
    run(bench)
    assert bench.shown == [300]


def test_a_released_node_that_expanded_is_not_expanded_twice(bench: Any) -> None:
    bench.cache = type(bench.cache)(0)
    bench.add("Inner", lambda x, me: {"expand": {"i.1": node("Sum", a=x, b=1)}, "result": (["i.1", 0],)}, **WANTS)
    bench.add(
        "Expand", lambda x, me: {"expand": {"e.1": node("Sum", a=["i", 0], b=1)}, "result": (["e.1", 0],)}, **WANTS
    )
    nodes = {"n": ONE, "i": ("Inner", {"x": ["n", 0]}), "s": ("Sum", {"a": ["i", 0], "b": 0}), "p": show("s")}
    bench.run({**nodes, "e": ("Expand", {"x": ["n", 0]}), "o": show()})
    assert bench.shown == [2, 3]


@pytest.mark.parametrize(
    ("graph", "result", "message"),
    [
        ({"n": node("Number", value=1)}, ["n", 0], "expands to node 'n', which exists already"),
        ({"e.1": node("Number", value=1)}, ["gone", 0], "a link to node 'gone', which does not exist"),
        ({"e.1": node("Sum", a=["gone", 0], b=1)}, ["e.1", 0], "a link to node 'gone', which does not exist"),
        ({"e.1": {"inputs": {}}}, ["e.1", 0], "a graph that is none: node 'e.1' has no class_type"),
        ([1], ["e.1", 0], "a graph that is none: workflow is a list"),
    ],
    ids=["taken id", "result to nowhere", "link to nowhere", "no class", "no graph"],
)
def test_a_graph_that_cannot_stand_fails_the_node_by_name(
    bench: Any, expand: Any, graph: Any, result: Any, message: str
) -> None:
    expand({"expand": graph, "result": (result,)})
    with pytest.raises(NodeFailed, match=r"Expand \(node e\)") as caught:
        run(bench)
    assert message in caught.value.message


def test_an_unknown_class_in_the_graph_is_named(bench: Any, expand: Any) -> None:
    expand({"expand": {"e.1": node("Gone")}, "result": (["e.1", 0],)})
    with pytest.raises(GraphRejected, match="Gone"):
        run(bench)


@pytest.mark.parametrize(
    "graph",
    [
        {"e.1": node("Sum", a=["e.2", 0], b=1), "e.2": node("Sum", a=["e.1", 0], b=1)},
        {"e.1": node("Sum", a=["e", 0], b=1)},
        {"e.1": node("Sum", a=["e.1", 0], b=1)},
        {"e.1": node("Sum", a=["after", 0], b=1)},
    ],
    ids=["within itself", "on the node itself", "on its own node", "on what waits for the node"],
)
def test_a_ring_that_an_expansion_makes_is_refused(bench: Any, expand: Any, graph: Any) -> None:
    expand({"expand": graph, "result": (["e.1", 0],)})
    with pytest.raises(GraphRejected, match="dependency_cycle"):
        run(bench, after=("Sum", {"a": ["e", 0], "b": 1}), p=show("after"))


def test_values_that_are_no_json_may_be_in_the_graph(bench: Any, expand: Any) -> None:
    thing = object()
    bench.add("Pass", lambda value: (value,), required={"value": ("*",)}, returns=("*",))
    expand({"expand": {"e.1": node("Pass", value=thing)}, "result": (["e.1", 0],)})
    run(bench)
    assert bench.shown == [thing]
