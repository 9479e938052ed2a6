from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.graph.workflow import Link, NoLink, parse_workflow


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def one_input(value: Any) -> Any:
    graph = parse_workflow({"7": {"class_type": "Any", "inputs": {"x": value}}})
    return graph.nodes["7"].inputs["x"]


def test_a_list_of_a_node_id_and_a_number_is_a_link() -> None:
    assert one_input(["4", 1]) == Link("4", 1)


def test_a_links_number_may_be_written_as_a_float() -> None:
    assert one_input(["4", 1.0]) == Link("4", 1)


@pytest.mark.parametrize(
    "value",
    [[], ["4"], ["4", 0, 0], [4, 0], ["4", "0"], ["4", 0.5], ["4", True], ["4", float("nan")], ["4", float("inf")]],
    ids=str,
)
def test_another_list_is_no_link(value: list[Any]) -> None:
    assert one_input(value) == NoLink(value)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", {"a": [1]}], ids=str)
def test_every_other_json_value_stays_as_it_is(value: Any) -> None:
    assert one_input(value) == value


def test_a_wrapped_list_is_a_value_and_no_link() -> None:
    assert one_input({"__value__": ["4", 0]}) == ["4", 0]


def test_a_node_knows_its_links_by_input_name() -> None:
    graph = parse_workflow({"1": {"class_type": "Any", "inputs": {"a": ["2", 0], "b": 5, "c": ["3", 1]}}})
    assert graph.nodes["1"].links == (("a", Link("2", 0)), ("c", Link("3", 1)))


def test_the_title_is_read_from_the_editors_notes() -> None:
    graph = parse_workflow({"1": {"class_type": "Any", "inputs": {}, "_meta": {"title": "my node"}}})
    assert graph.nodes["1"].title == "my node"


@pytest.mark.parametrize("meta", [None, [], "x", {}, {"title": 3}], ids=str)
def test_other_notes_of_the_editor_do_no_harm(meta: Any) -> None:
    assert parse_workflow({"1": {"class_type": "Any", "_meta": meta}}).nodes["1"].title is None


def test_a_workflow_may_be_a_string_of_json() -> None:
    assert list(parse_workflow('{"1": {"class_type": "Any"}}').nodes) == ["1"]


def test_the_source_is_the_json_that_came() -> None:
    workflow = {"1": {"class_type": "Any", "inputs": {"x": 1}, "extra": True}}
    assert parse_workflow(workflow).source is workflow


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        (None, "workflow is a null; expected an object"),
        ([], "workflow is a list; expected an object"),
        (3, "workflow is a number; expected an object"),
        ("{", "workflow is a string that is not JSON"),
        ("[" * 100_000, "workflow is a string"),
        ({}, "workflow has no nodes"),
        ({"1": None}, "node '1' is a null; expected an object"),
        ({"1": {}}, "node '1' has no class_type"),
        ({"1": {"class_type": ""}}, "node '1' has no class_type"),
        ({"1": {"class_type": 5}}, "node '1' has no class_type"),
        ({"1": {"class_type": "Any", "inputs": []}}, "inputs of node '1' is a list; expected an object"),
        ({"1": {"class_type": "Any", "inputs": {"x": nested(40)}}}, "nested deeper than 32 levels in 'x'"),
        ({"9" * 300: {"class_type": "Any"}}, "node id is 300 characters long; expected at most 256"),
        ({"1": {"class_type": "A" * 300}}, "class_type is 300 characters long"),
        ({"1": {"class_type": "Any", "inputs": {"x" * 300: 1}}}, "input name is 300 characters long"),
    ],
    ids=[
        "null", "list", "number", "broken json", "endless json", "empty", "null node", "no class",
        "empty class", "numeric class", "list of inputs", "deep value", "long id", "long class", "long name",
    ],
)  # fmt: skip
def test_what_is_no_workflow_is_refused_by_name(workflow: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_workflow(workflow)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "workflow",
    [
        {"\ud800": {"class_type": "Any"}},
        {"1": {"class_type": "\udfff"}},
        {"1": {"class_type": "Any", "inputs": {"\ud800": 1}}},
        {"1": {"class_type": "Any", "inputs": {"x": "cat \ud83d"}}},
        {"1": {"class_type": "Any", "inputs": {"x": {"deep": ["\ud83d"]}}}},
        {"1": {"class_type": "Any", "inputs": {"x": {"\ud83d": 1}}}},
        {"1": {"class_type": "Any", "inputs": {"x": ["\ud83d", 0]}}},
    ],
    ids=["id", "class_type", "input name", "text", "nested text", "nested name", "link"],
)
def test_half_a_character_is_refused_with_a_message_that_is_utf_8(workflow: Any) -> None:
    with pytest.raises(InvalidRequest, match="half of a character") as caught:
        parse_workflow(json.loads(json.dumps(workflow)))
    assert caught.value.message.encode()


@pytest.mark.parametrize("name", ["__proto__", "__class__", "constructor", "", "a.b", "\u0000", "猫"], ids=ascii)
def test_any_name_that_is_text_is_just_a_name(name: str) -> None:
    graph = parse_workflow({name: {"class_type": "Any", "inputs": {name: 1}}})
    assert graph.nodes[name].inputs == {name: 1}


def test_numbers_as_node_ids_become_text() -> None:
    assert list(parse_workflow({1: {"class_type": "Any"}}).nodes) == ["1"]


def test_a_text_of_megabytes_is_a_value_like_another() -> None:
    assert len(one_input("x" * 5_000_000)) == 5_000_000
