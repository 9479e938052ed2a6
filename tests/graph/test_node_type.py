from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.graph.node_type import read_node_type, types_fit
from runtime.nodes.protocol import InputFiles, ModelFiles


class Anything(str):
    """A wildcard as custom nodes write it: it claims to differ from nothing."""

    def __ne__(self, other: object) -> bool:
        return False


class EqualToAll(str):
    """A wildcard that also claims to equal everything, and is not hashable for it."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


@pytest.fixture
def read(node_class: Callable[..., type]) -> Callable[..., Any]:
    def of(**declared: Any) -> Any:
        return read_node_type("Node", node_class(lambda: (), **declared))

    return of


@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        ("INT", "INT"),
        ("INT", "INT,FLOAT"),
        ("IMAGE, MASK", "MASK"),
        ("*", "IMAGE"),
        ("IMAGE", "*"),
        ("IMAGE", Anything("*")),
        (Anything("*"), "IMAGE"),
        (EqualToAll("*"), "LATENT"),
        (("a", "b"), ("a", "b")),
        ("COMBO", ("a", "b")),
        (("a", "b"), "*"),
    ],
    ids=str,
)
def test_types_that_fit(received: Any, wanted: Any) -> None:
    assert types_fit(received, wanted)


@pytest.mark.parametrize(
    ("received", "wanted"),
    [("INT", "FLOAT"), ("IMAGE", "MASK,LATENT"), ("INT", ("a",)), (("a",), ("b",)), (("a",), "STRING"), ("", "INT")],
    ids=str,
)
def test_types_that_do_not_fit(received: Any, wanted: Any) -> None:
    assert not types_fit(received, wanted)


@pytest.mark.parametrize("wildcard", [Anything("*"), EqualToAll("*")], ids=["differs from nothing", "equals all"])
def test_a_wildcard_input_takes_any_value_as_it_is(deployment: Any, node_class: Any, wildcard: str) -> None:
    deployment.add("Any", node_class(lambda x: (), required={"x": (wildcard,)}, output=True))
    report = deployment.check({"1": {"class_type": "Any", "inputs": {"x": {"deep": [1]}}}})
    assert (report.outputs, report.graph.nodes["1"].inputs) == (("1",), {"x": {"deep": [1]}})


@pytest.mark.parametrize("options", [["a", "b"], ("a", "b")], ids=["list", "tuple"])
def test_a_combo_is_a_list_of_its_values_or_the_word_with_options(read: Any, options: Any) -> None:
    node_type = read(required={"x": (options,), "y": ("COMBO", {"options": options})})
    assert [spec.type for spec in node_type.inputs.values()] == [("a", "b"), ("a", "b")]


def test_a_combo_whose_values_are_not_declared_takes_any(deployment: Any, node_class: Any) -> None:
    deployment.add("Any", node_class(lambda x: (), required={"x": ("COMBO", {"remote": {}})}, output=True))
    assert deployment.check({"1": {"class_type": "Any", "inputs": {"x": "far"}}}).error is None


def test_a_combo_that_takes_several_values_is_not_held_against_the_list(deployment: Any, node_class: Any) -> None:
    deployment.add("Any", node_class(lambda x: (), required={"x": (["a", "b"], {"multiselect": True})}, output=True))
    assert deployment.check({"1": {"class_type": "Any", "inputs": {"x": {"__value__": ["a"]}}}}).error is None


def test_an_input_that_is_required_and_optional_is_required(read: Any) -> None:
    node_type = read(required={"x": ("INT",)}, optional={"x": ("FLOAT",)})
    assert (node_type.inputs["x"].required, node_type.inputs["x"].type) == (True, "INT")


def test_hidden_inputs_are_read_by_their_kind(read: Any) -> None:
    hidden = {"me": "UNIQUE_ID", "pair": ("PROMPT", {})}
    node_type = read(hidden=hidden)
    assert node_type.hidden == {"me": "UNIQUE_ID", "pair": "PROMPT"}


@pytest.mark.parametrize(
    ("declared", "keeps"),
    [({}, False), ({"hidden": {"me": "UNIQUE_ID"}}, True), ({"NOT_IDEMPOTENT": True}, True)],
    ids=["plain", "asks for its id", "not idempotent"],
)
def test_whether_two_equal_nodes_are_one(read: Any, declared: dict[str, Any], keeps: bool) -> None:
    assert read(**declared).keeps_identity is keeps


def test_output_lists_default_to_none(read: Any) -> None:
    node_type = read(returns=("INT", "IMAGE"))
    assert (node_type.lists_out, node_type.makes_lists, node_type.is_list_out(1)) == ((False, False), False, False)


def test_a_place_beyond_the_declared_lists_is_no_list(read: Any) -> None:
    node_type = read(returns=("INT", "IMAGE"), OUTPUT_IS_LIST=(True,))
    assert (node_type.is_list_out(0), node_type.is_list_out(1)) == (True, False)


def test_a_combo_as_an_output_is_hashable(read: Any) -> None:
    assert read(returns=(["a", "b"],)).return_types == (("a", "b"),)


@pytest.mark.parametrize("source", [ModelFiles("vae"), InputFiles("image")], ids=str)
@pytest.mark.parametrize("received", ["STRING", "COMBO", ["a", "b"]], ids=str)
def test_a_files_name_may_come_from_text_or_a_combo(
    deployment: Any, node_class: Any, source: Any, received: Any
) -> None:
    deployment.add("Name", node_class(lambda: (), returns=(received,)))
    deployment.add("Open", node_class(lambda x: (), required={"x": (source,)}, output=True))
    graph = {"n": {"class_type": "Name"}, "o": {"class_type": "Open", "inputs": {"x": ["n", 0]}}}
    assert deployment.check(graph).error is None
