from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.engines.native.keys import NodeKeys
from runtime.graph.node_type import read_node_type
from runtime.graph.workflow import parse_workflow
from runtime.nodes.protocol import InputFiles


class Keys:
    """Keys of nodes of one class, whose file `name` has the content `contents[name]`."""

    def __init__(self, node_class: Callable[..., type]) -> None:
        self.contents: dict[str, str] = {}
        self.changed: Any = 0
        inputs = {"x": ("*",), "y": ("*",), "file": (InputFiles("image"),)}
        plain, changing = {"optional": inputs}, {"IS_CHANGED": classmethod(lambda cls: 0)}
        self.types = {
            "Plain": read_node_type("Plain", node_class(lambda: (), **plain)),
            "Other": read_node_type("Other", node_class(lambda: (), **plain)),
            "Own": read_node_type("Own", node_class(lambda: (), **plain, hidden={"me": "UNIQUE_ID"})),
            "Changing": read_node_type("Changing", node_class(lambda: (), **plain, **changing)),
        }

    def of(self, *nodes: tuple[str, str, dict[str, Any]], tenant: str = "t") -> bytes:
        """The key of the last of `nodes`: id, class_type, inputs."""
        keys = NodeKeys(tenant, lambda node, type_: self.changed, lambda type_, name: self.contents.get(name, ""))
        graph = parse_workflow({id: {"class_type": name, "inputs": inputs} for id, name, inputs in nodes})
        return [keys.add(node, self.types[node.class_type]) for node in graph.nodes.values()][-1]


@pytest.fixture
def keys(node_class: Callable[..., type]) -> Keys:
    return Keys(node_class)


def plain(id: str = "1", **inputs: Any) -> tuple[str, str, dict[str, Any]]:
    return id, "Plain", inputs


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "a", {"a": [1, {}]}, 2**70, "\u0000"], ids=repr)
def test_the_same_node_has_the_same_key(keys: Keys, value: Any) -> None:
    assert keys.of(plain(x=value)) == keys.of(plain(x=value))


def test_neither_the_nodes_id_nor_the_order_of_inputs_matters(keys: Keys) -> None:
    assert keys.of(plain("1", x=1, y=2)) == keys.of(plain("2", y=2, x=1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 1}, {"x": 2}),
        ({"x": 1}, {"x": 1.0}),
        ({"x": 1}, {"x": True}),
        ({"x": 1}, {"x": "1"}),
        ({"x": None}, {"x": "None"}),
        ({"x": 1}, {"y": 1}),
        ({"x": 1}, {}),
        ({"x": {"a": 1}}, {"x": {"a": 2}}),
        ({"x": {"a": 1}}, {"x": {"__value__": ["a", 1]}}),
        ({"x": {"__value__": [1, 2]}}, {"x": {"__value__": [2, 1]}}),
        ({"x": {"__value__": ["1", 0]}}, {"x": {"__value__": "('1', 0)"}}),
        ({"x": "a', 'value', 'b"}, {"x": "a", "y": "b"}),
        ({"x": 2**70}, {"x": 2**70 + 1}),
    ],
    ids=str,
)
def test_another_input_is_another_key(keys: Keys, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert keys.of(plain(**one)) != keys.of(plain(**other))


def test_another_class_is_another_key(keys: Keys) -> None:
    assert keys.of(("1", "Plain", {"x": 1})) != keys.of(("1", "Other", {"x": 1}))


def test_another_tenant_is_another_key(keys: Keys) -> None:
    assert keys.of(plain(x=1), tenant="a") != keys.of(plain(x=1), tenant="b")


def test_a_change_above_changes_every_key_below(keys: Keys) -> None:
    below = [plain("2", x=["1", 0]), plain("3", x=["2", 0])]
    assert keys.of(plain("1", x=1), *below) != keys.of(plain("1", x=2), *below)


def test_another_output_of_the_same_node_is_another_key(keys: Keys) -> None:
    assert keys.of(plain("1"), plain("2", x=["1", 0])) != keys.of(plain("1"), plain("2", x=["1", 1]))


def test_nan_equals_nothing_also_not_itself(keys: Keys) -> None:
    nan = plain(x=float("nan"))
    assert keys.of(nan) != keys.of(nan)


def test_a_foreign_object_equals_nothing(keys: Keys) -> None:
    thing = plain(x=object())
    assert keys.of(thing) != keys.of(thing)


@pytest.mark.parametrize(("answers", "same"), [((1, 1), True), ((1, 2), False), ((float("nan"),) * 2, False)], ids=str)
def test_what_the_class_says_has_changed_is_in_the_key(keys: Keys, answers: Any, same: bool) -> None:
    made = []
    for keys.changed in answers:
        made.append(keys.of(("1", "Changing", {})))
    assert (made[0] == made[1]) is same


def test_a_file_is_in_the_key_by_its_content(keys: Keys) -> None:
    keys.contents["a.png"] = "cat"
    cat = keys.of(plain(file="a.png"))
    keys.contents["a.png"] = "dog"
    assert keys.of(plain(file="a.png")) != cat


def test_a_textual_inversion_is_in_a_prompts_key_by_its_content(keys: Keys) -> None:
    def key() -> bytes:
        return keys.of(plain(x="a photo (embedding:style.v2:1.2), sharp"))

    before = key()
    keys.contents["style.v2.safetensors"] = "one"
    one = key()
    keys.contents["style.v2.safetensors"] = "two"
    assert len({before, one, key()}) == 3
    keys.contents["other.safetensors"] = "three"
    assert key() == key()


def test_a_node_that_asks_for_its_id_shares_its_key_with_no_other(keys: Keys) -> None:
    assert keys.of(("1", "Own", {})) != keys.of(("2", "Own", {}))
