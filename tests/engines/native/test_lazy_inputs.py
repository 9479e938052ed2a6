from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.errors import NodeFailed

LAZY = {"lazy": True}


@pytest.fixture
def switch(bench: Any) -> Callable[..., dict[str, Any]]:
    """A graph of a node `Switch` between branches `left` and `right`, that asks by `ask`; `bench.ran`: who ran."""
    bench.ran = []

    def of(ask: Callable[..., Any], *, pick: bool = True) -> dict[str, Any]:
        inputs = {"pick": ("BOOLEAN",), "left": ("INT", LAZY), "right": ("INT", LAZY)}
        bench.add("Branch", lambda name: (bench.ran.append(name) or name,), required={"name": ("*",)}, returns=("INT",))
        bench.add(
            "Switch",
            lambda pick, left, right: (left if pick else right,),
            required=inputs,
            returns=("INT",),
            check_lazy_status=staticmethod(ask),
        )
        return {
            "l": ("Branch", {"name": "left"}),
            "r": ("Branch", {"name": "right"}),
            "w": ("Switch", {"pick": pick, "left": ["l", 0], "right": ["r", 0]}),
            "o": ("Show", {"value": ["w", 0]}),
        }

    return of


@pytest.mark.parametrize("pick", [True, False], ids=["left", "right"])
def test_only_the_wanted_branch_runs(bench: Any, switch: Any, pick: bool) -> None:
    bench.run(switch(lambda pick, left, right: ["left" if pick else "right"], pick=pick))
    assert (bench.ran, bench.shown) == (["left" if pick else "right"],) * 2


def test_a_node_may_ask_again_when_it_has_seen_the_first(bench: Any, switch: Any) -> None:
    def ask(pick: bool, left: Any, right: Any) -> list[str]:
        return ["left"] if left is None else ["right"]

    bench.run(switch(ask))
    assert bench.ran == ["left", "right"]


@pytest.mark.parametrize("answer", [None, [], True, "left", 5], ids=repr)
def test_a_node_that_asks_for_nothing_is_given_none(bench: Any, switch: Any, answer: Any) -> None:
    bench.run(switch(lambda **_: answer))
    assert (bench.ran, bench.shown) == ([], [None])


def test_an_asynchronous_question_is_awaited(bench: Any, switch: Any) -> None:
    async def ask(**_: Any) -> list[str]:
        return ["right"]

    bench.run(switch(ask))
    assert bench.ran == ["right"]


def test_asking_for_an_input_that_is_not_given_fails_the_node(bench: Any, switch: Any) -> None:
    with pytest.raises(NodeFailed, match=r"Switch \(node w\) asks for the lazy input 'middle'"):
        bench.run(switch(lambda **_: ["middle"]))


def test_asking_for_a_value_that_is_there_does_not_ask_twice(bench: Any, switch: Any) -> None:
    bench.run(switch(lambda **_: ["pick", "left"]))
    assert bench.ran == ["left"]


def test_a_question_that_breaks_names_the_node(bench: Any, switch: Any) -> None:
    with pytest.raises(NodeFailed, match=r"Switch \(node w\): ZeroDivisionError: by zero"):
        bench.run(switch(lambda **_: (_ for _ in ()).throw(ZeroDivisionError("by zero"))))


def test_a_branch_that_another_node_needs_runs_all_the_same(bench: Any, switch: Any) -> None:
    graph = switch(lambda **_: ["left"])
    bench.run({**graph, "p": ("Show", {"value": ["r", 0]})})
    assert sorted(bench.ran) == ["left", "right"]


def test_an_input_that_is_not_lazy_is_there_before_the_question(bench: Any) -> None:
    asked: list[Any] = []
    inputs = {"now": ("INT",), "later": ("INT", LAZY)}
    asking = {
        "required": inputs,
        "output": True,
        "check_lazy_status": staticmethod(lambda now, later: asked.append(now)),
    }
    bench.add("Ask", lambda now, later: None, **asking)
    nodes = {"n": ("Number", {"value": 4}), "m": ("Number", {"value": 5})}
    bench.run({**nodes, "a": ("Ask", {"now": ["n", 0], "later": ["m", 0]})})
    assert asked == [4]


def test_the_question_and_the_call_are_made_of_one_object(bench: Any) -> None:
    class Remembering:
        RETURN_TYPES = ()
        FUNCTION = "run"
        OUTPUT_NODE = True
        note = "nothing"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"x": ("INT", LAZY)}}

        def check_lazy_status(self, x: Any) -> list[str]:
            self.note = "asked"
            return ["x"]

        def run(self, x: int) -> None:
            bench.shown.append(self.note)

    bench.classes["Remembering"] = Remembering
    bench.run({"n": ("Number", {"value": 1}), "r": ("Remembering", {"x": ["n", 0]})})
    assert bench.shown == ["asked"]


def test_a_raw_link_is_given_as_node_and_number_and_runs_nothing(bench: Any) -> None:
    raw = {"required": {"x": ("INT", {"rawLink": True, "lazy": True})}, "output": True}
    bench.add("Raw", lambda x: bench.shown.append(x), **raw)
    execution = bench.run({"n": ("Number", {"value": 1}), "r": ("Raw", {"x": ["n", 0]})})
    assert (bench.shown, set(execution.node_ms)) == ([["n", 0]], {"r"})
