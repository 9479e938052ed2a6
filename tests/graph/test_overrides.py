from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.graph.overrides import apply_overrides, seeds_of
from tests.cpu_time import at_once


@pytest.fixture
def workflow() -> dict[str, Any]:
    return {
        "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 4, "model": ["4", 0]}},
        "4": {"class_type": "Loader", "inputs": {"ckpt_name": "a"}, "_meta": {"title": "my.model"}},
        "6": {"class_type": "Text", "inputs": {"text": "a cat", "pair.first": 1}, "_meta": {"title": "Positive"}},
        "7": {"class_type": "Text", "inputs": {"text": "bad"}, "_meta": {"title": "Negative"}},
        "8": {"class_type": "Noise", "inputs": {"noise_seed": 2}},
    }


@pytest.mark.parametrize(
    ("key", "node", "name"),
    [
        ("6.text", "6", "text"),
        ("Positive.text", "6", "text"),
        ("KSampler.steps", "3", "steps"),
        ("steps", "3", "steps"),
        ("my.model.ckpt_name", "4", "ckpt_name"),
        ("6.pair.first", "6", "pair.first"),
        ("3.model", "3", "model"),
    ],
    ids=["id", "title", "class", "input", "title with a dot", "input with a dot", "over a link"],
)
def test_a_value_is_laid_over_what_the_key_names(workflow: Any, key: str, node: str, name: str) -> None:
    assert apply_overrides(workflow, {key: "new"})[node]["inputs"][name] == "new"


def test_an_id_goes_before_a_title_and_a_title_before_a_class(workflow: Any) -> None:
    workflow["8"]["_meta"] = {"title": "7"}
    workflow["4"]["_meta"] = {"title": "KSampler"}
    changed = apply_overrides(workflow, {"7.text": "good", "KSampler.ckpt_name": "b"})
    assert (changed["7"]["inputs"]["text"], changed["4"]["inputs"]["ckpt_name"]) == ("good", "b")


def test_the_given_workflow_stays_as_it_is(workflow: Any) -> None:
    apply_overrides(workflow, {"6.text": "new"})
    assert workflow["6"]["inputs"]["text"] == "a cat"


def test_seed_alone_sets_every_seed(workflow: Any) -> None:
    assert seeds_of(apply_overrides(workflow, {"seed": 9})) == {"3": 9, "8": 9}


def test_a_list_is_a_value_and_never_a_link(workflow: Any) -> None:
    assert apply_overrides(workflow, {"6.text": ["4", 0]})["6"]["inputs"]["text"] == {"__value__": ["4", 0]}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("text", "is an input of nodes 6, 7; write NODE.text"),
        ("Text.text", "'Text' is nodes 6, 7; name one by its id"),
        ("Postive.text", "no node has the id, title or class_type 'Postive'; nearest: Positive"),
        ("KSampler.step", "KSampler (node 3) has no input 'step'; nearest: steps"),
        ("sedd", "no node has a value 'sedd'; nearest: seed"),
        ("model", "no node has a value 'model'"),
        ("", "no node has a value ''"),
        (".", "no node has the id, title or class_type ''"),
        ("6.", "Text (node 6) has no input ''"),
    ],
)
def test_a_key_that_fits_not_exactly_one_place_is_refused_by_name(workflow: Any, key: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        apply_overrides(workflow, {key: 1})
    assert repr(key) in caught.value.message
    assert message in caught.value.message


def test_no_overrides_give_the_workflow_itself(workflow: Any) -> None:
    assert apply_overrides(workflow, {}) is workflow


def test_what_is_no_node_is_left_for_the_parser_to_refuse() -> None:
    broken = {"1": None, "2": {"class_type": "A"}, "3": {"class_type": "B", "inputs": {"x": 1}}}
    assert apply_overrides(broken, {"x": 2}) == {**broken, "3": {"class_type": "B", "inputs": {"x": 2}}}


@pytest.mark.parametrize("seed", ["1", None, 1.5, True, ["1", 0]], ids=repr)
def test_only_a_whole_number_counts_as_a_used_seed(seed: Any) -> None:
    assert seeds_of({"1": {"inputs": {"seed": seed}}, "2": None}) == {}


def test_many_nodes_of_one_class_are_named_in_part() -> None:
    workflow = {str(n): {"class_type": "A", "inputs": {"x": 1}} for n in range(1000)}
    with pytest.raises(InvalidRequest, match="and 990 more"):
        apply_overrides(workflow, {"x": 2})


@pytest.mark.parametrize("seed", [10**4000, 2**64, -(2**63) - 1], ids=["endless", "above", "below"])
def test_a_number_that_cannot_be_a_seed_is_none(seed: int) -> None:
    assert seeds_of({"1": {"inputs": {"seed": seed}}}) == {}


def test_a_key_without_end_is_refused_unread(workflow: Any) -> None:
    with pytest.raises(InvalidRequest, match="a key has 1000000 characters, expected at most 1000"):
        apply_overrides(workflow, {"." * 1_000_000: 1})


def test_many_overrides_of_one_node_with_many_inputs_take_no_time() -> None:
    names = [f"x{n}" for n in range(10_000)]
    workflow = {"1": {"class_type": "A", "inputs": dict.fromkeys(names, 0)}}
    with at_once():
        changed = apply_overrides(workflow, {f"1.{name}": 1 for name in names})
    assert set(changed["1"]["inputs"].values()) == {1}


def test_a_title_of_megabytes_costs_no_comparison(workflow: Any) -> None:
    letters = "".join(map(chr, range(0x4E00, 0x5E00)))
    workflow["9"] = {"class_type": "A", "inputs": {"x": 1}, "_meta": {"title": letters * 20}}
    with at_once(), pytest.raises(InvalidRequest, match="no node has the id"):
        apply_overrides(workflow, {f"{letters[:900]}.x": 1})
