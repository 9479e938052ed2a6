from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from typing import Any

import pytest

from runtime.cancellation import CancelFlag
from runtime.engines.native.calls import ExecutionBlocker
from runtime.errors import Cancelled, Internal, NodeFailed, TimedOut

NUMBER = ("Number", {"value": 1})


def show(id: str = "n", place: int = 0) -> tuple[str, dict[str, Any]]:
    return "Show", {"value": [id, place]}


class Result:
    """A value that can be referred to weakly."""


def test_values_go_along_the_links(bench: Any) -> None:
    bench.run(
        {"n": NUMBER, "m": ("Number", {"value": 2}), "s": ("Sum", {"a": ["n", 0], "b": ["m", 0]}), "o": show("s")}
    )
    assert bench.shown == [3]


def test_only_what_an_output_needs_runs(bench: Any) -> None:
    execution = bench.run({"n": NUMBER, "loose": ("Number", {"value": 2}), "o": show()})
    assert set(execution.node_ms) == {"n", "o"}


def test_a_node_that_two_others_read_runs_once(bench: Any) -> None:
    ran: list[int] = []
    bench.add("Once", lambda: (ran.append(1) or 5,), returns=("INT",))
    bench.run({"n": ("Once", {}), "s": ("Sum", {"a": ["n", 0], "b": ["n", 0]}), "o": show("s"), "p": show("n")})
    assert (ran, sorted(bench.shown)) == ([1], [5, 10])


def test_an_output_node_that_another_output_reads_runs_once(bench: Any) -> None:
    ran: list[int] = []
    passing = {"required": {"value": ("INT",)}, "returns": ("INT",), "output": True}
    bench.add("ShowAndPass", lambda value: (ran.append(value) or value,), **passing)
    bench.run({"o": show("p"), "n": NUMBER, "p": ("ShowAndPass", {"value": ["n", 0]})})
    assert (ran, bench.shown) == ([1], [1])


def test_outputs_run_in_the_order_of_the_workflow(bench: Any) -> None:
    bench.run({"b": ("Show", {"value": 2}), "a": ("Show", {"value": 1}), "c": ("Show", {"value": 3})})
    assert bench.shown == [2, 1, 3]


def test_an_input_that_is_not_given_is_left_to_the_functions_default(bench: Any) -> None:
    bench.add("Default", lambda x=7: (x,), optional={"x": ("INT",)}, returns=("INT",))
    bench.run({"n": ("Default", {}), "o": show()})
    assert bench.shown == [7]


def test_a_value_that_the_class_does_not_declare_is_not_passed(bench: Any) -> None:
    bench.run({"n": ("Number", {"value": 1, "foreign": 2}), "o": show()})
    assert bench.shown == [1]


def test_a_link_that_the_class_does_not_declare_is_passed_as_comfyui_does(bench: Any) -> None:
    bench.add("Open", lambda **given: (sorted(given.items()),), returns=("LIST",))
    bench.run({"n": NUMBER, "m": ("Open", {"x1": ["n", 0]}), "o": show("m")})
    assert bench.shown == [[("x1", 1)]]


def test_10_000_nodes_in_a_row_run(bench: Any) -> None:
    bench.add("Next", lambda value: (value + 1,), required={"value": ("INT",)}, returns=("INT",))
    row = {str(n): ("Next", {"value": [str(n + 1), 0]}) for n in range(10_000)}
    bench.run({"o": show("0"), **row, "10000": ("Number", {"value": 0})})
    assert bench.shown == [10_000]


def test_a_node_that_reads_10_000_others_runs(bench: Any) -> None:
    wide = {f"x{n}": ("INT",) for n in range(10_000)}
    bench.add("Total", lambda **given: (sum(given.values()),), required=wide, returns=("INT",))
    numbers = {str(n): ("Number", {"value": n}) for n in range(10_000)}
    bench.run({**numbers, "t": ("Total", {f"x{n}": [str(n), 0] for n in range(10_000)}), "o": show("t")})
    assert bench.shown == [sum(range(10_000))]


def test_each_node_is_advanced_at_most_twice(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.engines.native.executor import Executor

    advanced: Counter[str] = Counter()
    real = Executor._advance
    monkeypatch.setattr(Executor, "_advance", lambda self, step: (advanced.update([step.node.id]), real(self, step))[1])
    layers = {
        f"{x}.{y}": ("Sum", {"a": [f"{x - 1}.0", 0], "b": [f"{x - 1}.1", 0]}) for x in range(1, 40) for y in (0, 1)
    }
    bench.run({"0.0": NUMBER, "0.1": ("Number", {"value": 0}), **layers, "o": show("39.0")})
    assert max(advanced.values()) == 2


def test_a_list_of_values_is_one_call_each_and_shorter_lists_repeat_their_last(bench: Any) -> None:
    lists = {"returns": ("INT", "INT"), "OUTPUT_IS_LIST": (True, True)}
    bench.add("Lists", lambda: ([1, 2, 3], [10, 20]), **lists)
    bench.run({"l": ("Lists", {}), "s": ("Sum", {"a": ["l", 0], "b": ["l", 1]}), "o": show("s")})
    assert bench.shown == [11, 22, 23]


def test_a_node_that_takes_lists_gets_each_input_whole(bench: Any) -> None:
    bench.add("List", lambda: ([1, 2, 3],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    taking = {"required": {"x": ("INT",), "k": ("INT",)}, "returns": ("STRING",), "INPUT_IS_LIST": True}
    bench.add("Take", lambda x, k: (f"{x} {k}",), **taking)
    bench.run({"l": ("List", {}), "t": ("Take", {"x": ["l", 0], "k": 5}), "o": show("t")})
    assert bench.shown == ["[1, 2, 3] [5]"]


def test_lists_of_several_calls_are_joined_end_to_end(bench: Any) -> None:
    bench.add("List", lambda: ([1, 2],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    twice = {"required": {"x": ("INT",)}, "returns": ("INT",), "OUTPUT_IS_LIST": (True,)}
    bench.add("Twice", lambda x: ([x, x],), **twice)
    bench.run({"l": ("List", {}), "t": ("Twice", {"x": ["l", 0]}), "o": show("t")})
    assert bench.shown == [1, 1, 2, 2]


def test_an_empty_list_fails_the_node_that_reads_it(bench: Any) -> None:
    bench.add("Empty", lambda: ([],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    with pytest.raises(NodeFailed, match=r"Show \(node o\) was given an empty list for value"):
        bench.run({"l": ("Empty", {}), "o": show("l")})


def test_hidden_inputs_are_given_by_their_kind(bench: Any) -> None:
    kinds = ["UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "API_KEY_COMFY_ORG", "DYNPROMPT"]
    bench.add("Tell", lambda **given: (given,), hidden={kind.lower(): kind for kind in kinds}, returns=("DICT",))
    bench.run({"n": ("Tell", {}), "o": show()}, extra_pnginfo={"workflow": 1}, api_key_comfy_org="k")
    (told,) = bench.shown
    assert told.pop("prompt")["n"]["class_type"] == "Tell"
    assert told == {"unique_id": "n", "extra_pnginfo": {"workflow": 1}, "api_key_comfy_org": "k", "dynprompt": None}


def test_a_node_of_several_calls_is_one_object_in_all_of_them(bench: Any) -> None:
    class Counting:
        RETURN_TYPES = ("INT",)
        FUNCTION = "count"

        def __init__(self) -> None:
            self.calls = 0

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"x": ("INT",)}}

        def count(self, x: int) -> tuple[int]:
            self.calls += 1
            return (self.calls,)

    bench.classes["Counting"] = Counting
    bench.add("List", lambda: ([5, 6],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    bench.run({"l": ("List", {}), "c": ("Counting", {"x": ["l", 0]}), "o": show("c")})
    assert bench.shown == [1, 2]


def test_an_asynchronous_node_is_awaited_and_its_calls_run_side_by_side(bench: Any) -> None:
    meeting = asyncio.Event

    async def meet(x: int, event: Any) -> tuple[int]:
        if x == 0:
            await event.wait()  # set by the call after this one
        event.set()
        return (x * 10,)

    bench.add("Event", lambda: (meeting(), [0, 1]), returns=("EVENT", "INT"), OUTPUT_IS_LIST=(False, True))
    bench.add("Meet", meet, required={"x": ("INT",), "event": ("EVENT",)}, returns=("INT",))
    bench.run({"e": ("Event", {}), "m": ("Meet", {"x": ["e", 1], "event": ["e", 0]}), "o": show("m")})
    assert bench.shown == [0, 10]


def test_a_blocked_value_stops_every_node_it_reaches_and_no_other(bench: Any) -> None:
    bench.add("Block", lambda: (ExecutionBlocker(), 5), returns=("INT", "INT"))
    nodes = {"b": ("Block", {}), "s": ("Sum", {"a": ["b", 0], "b": 1}), "o": show("s"), "p": show("b", 1)}
    bench.run(nodes)
    assert bench.shown == [5]


def test_a_node_that_returns_a_blocker_blocks_all_its_outputs(bench: Any) -> None:
    bench.add("Block", lambda: ExecutionBlocker(), returns=("INT", "INT"))
    bench.run({"b": ("Block", {}), "o": show("b"), "p": show("b", 1)})
    assert bench.shown == []


def test_a_blocked_item_blocks_a_node_that_takes_lists(bench: Any) -> None:
    bench.add("List", lambda: ([1, ExecutionBlocker()],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    taking = {"required": {"x": ("INT",)}, "output": True, "INPUT_IS_LIST": True}
    bench.add("Take", lambda x: bench.shown.append(x), **taking)
    bench.run({"l": ("List", {}), "t": ("Take", {"x": ["l", 0]})})
    assert bench.shown == []


def test_one_blocked_item_of_several_leaves_the_others(bench: Any) -> None:
    bench.add("List", lambda: ([1, ExecutionBlocker(), 3],), returns=("INT",), OUTPUT_IS_LIST=(True,))
    bench.run({"l": ("List", {}), "o": show("l")})
    assert bench.shown == [1, 3]


def test_a_blocker_with_a_message_fails_the_job_with_it(bench: Any) -> None:
    bench.add("Block", lambda: (ExecutionBlocker("no face found"),), returns=("INT",))
    with pytest.raises(NodeFailed, match=r"Show \(node o\) was blocked: no face found") as caught:
        bench.run({"b": ("Block", {}), "o": show("b")})
    assert caught.value.node_id == "o"


def test_an_output_that_a_node_declares_and_does_not_return_is_none(bench: Any) -> None:
    bench.add("Short", lambda: (1,), returns=("INT", "INT"))
    bench.run({"n": ("Short", {}), "o": show("n", 1)})
    assert bench.shown == [None]


@pytest.mark.parametrize("answer", [5, None, "text"], ids=repr)
def test_a_node_that_returns_no_tuple_is_named(bench: Any, answer: Any) -> None:
    bench.add("Odd", lambda: answer, returns=("INT",))
    with pytest.raises(NodeFailed, match=r"Odd \(node n\) returned a .*; expected a tuple of 1 values"):
        bench.run({"n": ("Odd", {}), "o": show()})


def test_what_a_node_raises_names_the_node(bench: Any) -> None:
    bench.add("Broken", lambda: 1 / 0, returns=("INT",))
    with pytest.raises(NodeFailed, match=r"Broken \(node n\): ZeroDivisionError: division by zero") as caught:
        bench.run({"n": ("Broken", {}), "o": show()})
    assert caught.value.node_id == "n"


def test_a_class_that_cannot_be_made_names_the_node(bench: Any) -> None:
    def refuse(self: object) -> None:
        raise RuntimeError("no licence")

    bench.add("Refusing", lambda: (1,), returns=("INT",), __init__=refuse)
    with pytest.raises(NodeFailed, match=r"Refusing \(node n\): RuntimeError: no licence"):
        bench.run({"n": ("Refusing", {}), "o": show()})


def test_an_error_of_ours_keeps_its_class_and_gets_the_nodes_id(bench: Any) -> None:
    def fail() -> None:
        raise Internal("defect")

    bench.add("Failing", fail, returns=("INT",))
    with pytest.raises(Internal) as caught:
        bench.run({"n": ("Failing", {}), "o": show()})
    assert caught.value.node_id == "n"


def test_a_failed_job_leaves_nothing_that_the_next_one_could_see(bench: Any) -> None:
    broken = [True]

    def sometimes(value: int) -> tuple[int]:
        if broken:
            broken.clear()
            raise RuntimeError("once")
        return (value,)

    bench.add("Sometimes", sometimes, required={"value": ("INT",)}, returns=("INT",))
    graph = {"n": NUMBER, "m": ("Sometimes", {"value": ["n", 0]}), "o": show("m")}
    with pytest.raises(NodeFailed, match="once"):
        bench.run(graph)
    assert bench.run(graph).cached_nodes == ("n",)
    assert bench.shown == [1]


@pytest.fixture
def watched(bench: Any) -> list[bool]:
    """Whether what `Make` made last was alive, each time that `Look` ran."""
    alive: list[bool] = []
    made: list[weakref.ref[Result]] = []

    def make() -> tuple[Result]:
        result = Result()
        made.append(weakref.ref(result))
        return (result,)

    bench.add("Make", make, returns=("MODEL",))
    bench.add("Look", lambda x: alive.append(made[-1]() is not None), required={"x": ("*",)}, output=True)
    return alive


def test_a_result_is_let_go_of_when_its_last_reader_has_run(bench: Any, watched: Any) -> None:
    bench.add("Read", lambda x: (1,), required={"x": ("MODEL",)}, returns=("INT",))
    bench.run({"m": ("Make", {}), "r": ("Read", {"x": ["m", 0]}), "o": ("Look", {"x": ["r", 0]})})
    assert watched == [False]


def test_a_result_that_is_still_to_be_read_is_kept(bench: Any, watched: Any) -> None:
    bench.add("Read", lambda x, y: (1,), required={"x": ("MODEL",), "y": ("*",)}, returns=("INT",))
    bench.add("Pass", lambda x: (1,), required={"x": ("MODEL",)}, returns=("INT",), output=True)
    nodes = {"m": ("Make", {}), "p": ("Pass", {"x": ["m", 0]}), "o": ("Look", {"x": ["p", 0]})}
    bench.run({**nodes, "r": ("Read", {"x": ["m", 0], "y": ["p", 0]}), "q": show("r")})
    assert watched == [True]


def test_a_result_that_only_a_cached_node_would_have_read_is_let_go_of(bench: Any, watched: Any) -> None:
    bench.add("Slow", lambda x: (1,), required={"x": ("MODEL",)}, returns=("INT",))
    bench.add("Quick", lambda x: (2,), required={"x": ("MODEL",)}, returns=("INT",))
    base = {"m": ("Make", {}), "s": ("Slow", {"x": ["m", 0]}), "t": ("Sum", {"a": ["s", 0], "b": 1}), "o": show("t")}
    bench.run(base)
    quick = {"q": ("Quick", {"x": ["m", 0]}), "p": ("Look", {"x": ["q", 0]})}
    execution = bench.run({**base, **quick})
    assert (execution.cached_nodes, set(execution.node_ms)) == (("t",), {"m", "q", "o", "p"})
    assert watched == [False]


def test_a_cancel_ends_the_job_before_the_next_node(bench: Any) -> None:
    flag = CancelFlag()
    bench.add("Stop", lambda: flag.set() or (1,), returns=("INT",))
    with pytest.raises(Cancelled):
        bench.run({"n": ("Stop", {}), "o": show()}, flag=flag)
    assert bench.shown == []


def test_a_cancel_ends_a_node_at_its_next_step(bench: Any) -> None:
    flag, steps = CancelFlag(), []

    def sample(context: Any) -> None:
        for number in range(10):
            context.step(number, 10)
            steps.append(number)
            flag.set()

    bench.add("Sample", sample, hidden={"context": "CONTEXT"}, output=True)
    with pytest.raises(Cancelled):
        bench.run({"n": ("Sample", {})}, flag=flag)
    assert steps == [0]


def test_a_deadline_ends_the_job_as_timed_out(bench: Any) -> None:
    now = [0.0]
    flag = CancelFlag(timeout_s=5, clock=lambda: now[0])
    bench.add("Long", lambda: now.__setitem__(0, 9.0) or (1,), returns=("INT",))
    with pytest.raises(TimedOut, match="timeout_s of 5 s"):
        bench.run({"n": ("Long", {}), "o": show()}, flag=flag)


def test_progress_counts_the_nodes_that_ran_of_those_that_will(bench: Any) -> None:
    bench.run({"n": NUMBER, "s": ("Sum", {"a": ["n", 0], "b": 1}), "o": show("s")})
    assert [(p.node_id, p.nodes_done, p.nodes_total) for p in bench.progress] == [("n", 0, 3), ("s", 1, 3), ("o", 2, 3)]


def test_progress_counts_cached_nodes_and_what_they_spare_as_done(bench: Any) -> None:
    graph = {"n": NUMBER, "s": ("Sum", {"a": ["n", 0], "b": 1}), "o": show("s")}
    bench.run(graph)
    bench.progress.clear()
    bench.run(graph)
    assert [(p.node_id, p.nodes_done, p.nodes_total) for p in bench.progress] == [("o", 2, 3)]


def test_texts_of_nodes_are_collected_and_always_utf_8(bench: Any) -> None:
    bench.add("Say", lambda: {"ui": {"text": ["hello \ud800", 5]}}, output=True)
    bench.run({"n": ("Say", {})})
    assert [(file.node_id, file.kind, file.data) for file in bench.sink.files] == [("n", "text", b"hello ?")]
