from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runtime.errors import GraphRejected, ModelMissing, UnknownNode


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def show(id: str = "v") -> dict[str, Any]:
    return node("Show", value=[id, 0])


def test_a_sound_graph_has_no_problem_and_all_its_outputs(deployment: Any) -> None:
    report = deployment.check({"v": node("Value", number=5), "s": show(), "t": show()})
    assert (report.outputs, report.node_errors, report.error, report.warnings) == (("s", "t"), {}, None, [])


def test_every_problem_is_found_at_once(deployment: Any) -> None:
    broken = node("Value", number="x", strength=7.0, mode="bad", text=["v", 0], flag=["gone", 0])
    assert deployment.problems({"v": broken, "j": node("Join", b=["v", 9]), "s": node("Show", value=["j", 0])}) == [
        ("v", "dependency_cycle", "text"),
        ("v", "bad_linked_input", "flag"),
        ("v", "invalid_input_type", "number"),
        ("v", "value_bigger_than_max", "strength"),
        ("v", "return_type_mismatch", "text"),
        ("v", "value_not_in_list", "mode"),
        ("j", "required_input_missing", "a"),
        ("j", "bad_linked_input", "b"),
    ]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"number": -1}, "value_smaller_than_min"),
        ({"number": 101}, "value_bigger_than_max"),
        ({"number": 10**400}, "value_bigger_than_max"),
        ({"number": 10**5000}, "value_bigger_than_max"),
        ({"number": "9" * 5000}, "invalid_input_type"),
        ({"number": None}, "invalid_input_type"),
        ({"number": float("nan")}, "invalid_input_type"),
        ({"number": float("inf")}, "invalid_input_type"),
        ({"number": "one"}, "invalid_input_type"),
        ({"number": {}}, "invalid_input_type"),
        ({"strength": float("nan")}, "invalid_input_type"),
        ({"strength": "-inf"}, "invalid_input_type"),
        ({"strength": 10**400}, "invalid_input_type"),
        ({"strength": 1.01}, "value_bigger_than_max"),
        ({"mode": "slow"}, "value_not_in_list"),
        ({"mode": ""}, "value_not_in_list"),
        ({"mode": None}, "value_not_in_list"),
        ({"mode": {"fast": 1}}, "value_not_in_list"),
        ({"mode": {"__value__": ["fast"]}}, "value_not_in_list"),
        ({"mode": ["fast"]}, "bad_linked_input"),
        ({"text": [1, 2, 3]}, "bad_linked_input"),
        ({"text": []}, "bad_linked_input"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_value_is_named_by_comfyuis_type(deployment: Any, inputs: dict[str, Any], problem: str) -> None:
    report = deployment.check({"v": node("Value", **inputs), "s": show()})
    (error,) = report.node_errors["v"]["errors"]
    assert error["type"] == problem
    assert error["extra_info"]["input_name"] in inputs
    json.dumps(report.node_errors, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("inputs", "converted"),
    [
        ({"number": "5"}, 5),
        ({"number": 5.9}, 5),
        ({"number": True}, 1),
        ({"strength": 1}, 1.0),
        ({"strength": "0.5"}, 0.5),
        ({"text": 5}, "5"),
        ({"text": {"__value__": ["a"]}}, "['a']"),
        ({"flag": "false"}, True),
        ({"flag": 0}, False),
        ({"mode": "good"}, "good"),
    ],
    ids=str,
)
def test_values_are_converted_to_their_declared_types(deployment: Any, inputs: dict[str, Any], converted: Any) -> None:
    report = deployment.check({"v": node("Value", **inputs), "s": show()})
    (value,) = report.graph.nodes["v"].inputs.values()
    assert (value, type(value)) == (converted, type(converted))


def test_inputs_that_the_class_does_not_declare_are_left_alone(deployment: Any) -> None:
    report = deployment.check({"v": node("Value", foreign={"a": 1}), "s": show()})
    assert report.error is None
    assert report.graph.nodes["v"].inputs == {"foreign": {"a": 1}}


def test_a_graph_without_an_output_node_is_refused(deployment: Any) -> None:
    with pytest.raises(GraphRejected, match="prompt_no_outputs"):
        deployment.check({"v": node("Value", number=-5)}).raise_if_rejected()


def test_nodes_that_no_output_needs_are_not_checked(deployment: Any) -> None:
    assert deployment.problems({"v": node("Value"), "s": show(), "loose": node("Value", number=-5)}) == []


def test_an_unknown_class_is_answered_with_the_nearest_name(deployment: Any) -> None:
    with pytest.raises(UnknownNode, match=r"Valeu \(node v\).*did you mean Value\?"):
        deployment.check({"v": node("Valeu"), "s": show()}).raise_if_rejected()


def test_an_unknown_class_refuses_the_graph_also_where_no_output_needs_it(deployment: Any) -> None:
    report = deployment.check({"v": node("Value"), "s": show(), "x": node("Gone")})
    assert report.outputs == ()
    assert isinstance(report.error, UnknownNode)


def test_an_unknown_class_does_not_hide_the_other_problems(deployment: Any) -> None:
    graph = {"v": node("Value", number=-1), "x": node("Gone", a=["v", 0]), "w": node("Value", mode="?"), "s": show("w")}
    assert {id for id, _, _ in deployment.problems(graph)} == {"v", "x", "w"}


def test_an_unknown_class_alone_is_unknown_and_not_a_missing_output(deployment: Any) -> None:
    assert isinstance(deployment.check({"x": node("Gone")}).error, UnknownNode)


def test_good_outputs_run_and_the_others_are_warnings(deployment: Any) -> None:
    graph = {"v": node("Value"), "w": node("Value", number=-1), "good": show("v"), "bad": show("w")}
    report = deployment.check(graph)
    assert (report.outputs, report.error) == (("good",), None)
    assert report.warnings == ["left out: Value (node w): the value -1 is below the least, 0 (number)"]


def test_warnings_are_told_in_part(deployment: Any) -> None:
    broken = {f"w{n}": show("gone") for n in range(60)}
    warnings = deployment.check({"v": node("Value"), "good": show("v"), **broken}).warnings
    assert (len(warnings), warnings[-1]) == (51, "left out: 10 more problems")


def test_an_output_that_shares_a_broken_node_does_not_run(deployment: Any) -> None:
    graph = {"v": node("Value", number=-1), "j": node("Join", a=["v", 0]), "s": show("v"), "t": show("j")}
    report = deployment.check(graph)
    assert report.outputs == ()
    assert report.node_errors["v"]["dependent_outputs"] == ["s", "t"]


def test_node_errors_have_comfyuis_form(deployment: Any) -> None:
    report = deployment.check({"v": node("Value", number=500), "s": show()})
    assert report.node_errors == {
        "v": {
            "errors": [
                {
                    "type": "value_bigger_than_max",
                    "message": "the value 500 is above the greatest, 100",
                    "details": "number",
                    "extra_info": {
                        "input_name": "number",
                        "input_config": ["INT", {"default": 1, "min": 0, "max": 100}],
                        "received_value": 500,
                    },
                }
            ],
            "dependent_outputs": ["s"],
            "class_type": "Value",
        }
    }


def test_a_mismatch_of_types_names_both(deployment: Any) -> None:
    report = deployment.check({"v": node("Value"), "s": node("Show", value=["v", 1])})
    (error,) = report.node_errors["s"]["errors"]
    assert error["type"] == "return_type_mismatch"
    assert "received_type(IMAGE) mismatch input_type(INT)" in error["details"]


@pytest.mark.parametrize("place", [2, -1, 10**9])
def test_a_link_to_an_output_that_is_not_there_is_a_bad_link(deployment: Any, place: int) -> None:
    assert deployment.problems({"v": node("Value"), "s": node("Show", value=["v", place])}) == [
        ("s", "bad_linked_input", "value")
    ]


@pytest.mark.parametrize(
    ("graph", "shown"),
    [
        ({"a": node("Join", a=["a", 0]), "s": show("a")}, "a -> a"),
        ({"a": node("Join", a=["b", 0]), "b": node("Join", a=["a", 0]), "s": show("a")}, "a -> b -> a"),
    ],
    ids=["itself", "two nodes"],
)
def test_a_ring_is_shown(deployment: Any, graph: dict[str, Any], shown: str) -> None:
    with pytest.raises(GraphRejected, match=f"depends on itself .*{shown}"):
        deployment.check(graph).raise_if_rejected()


def test_two_rings_are_two_problems(deployment: Any) -> None:
    graph = {"a": node("Join", a=["a", 0], b=["b", 0]), "b": node("Join", a=["b", 0]), "s": show("a")}
    assert deployment.problems(graph) == [("a", "dependency_cycle", "a"), ("b", "dependency_cycle", "a")]


def test_a_long_ring_is_found_and_shown_in_part(deployment: Any) -> None:
    graph = {str(n): node("Join", a=[str((n + 1) % 10_000), 0]) for n in range(10_000)}
    report = deployment.check({**graph, "s": show("0")})
    assert report.outputs == ()
    ((_, broken),) = report.node_errors.items()
    assert len(broken["errors"][0]["details"]) < 200


def test_a_ring_stops_every_output_that_reaches_into_it(deployment: Any) -> None:
    graph = {"a": node("Join", a=["b", 0]), "b": node("Join", a=["c", 0]), "c": node("Join", a=["a", 0])}
    report = deployment.check({**graph, "s": show("a"), "t": show("b"), "u": show("c")})
    assert report.outputs == ()


def test_a_missing_model_is_answered_with_the_near_names(deployment: Any) -> None:
    with pytest.raises(ModelMissing, match=r"cats\.safetensors.*cat\.safetensors"):
        deployment.check({"v": node("Load", ckpt="cats.safetensors"), "s": show()}).raise_if_rejected()


def test_a_missing_model_beside_another_problem_is_a_rejected_graph(deployment: Any) -> None:
    graph = {"v": node("Load", ckpt="gone"), "j": node("Join", b=["v", 0]), "s": show("j")}
    error = deployment.check(graph).error
    assert type(error) is GraphRejected


@pytest.mark.parametrize("name", ["b.png", "../a.png", "", 5, None], ids=repr)
def test_an_input_file_that_is_not_there_is_a_problem(deployment: Any, name: Any) -> None:
    assert deployment.problems({"v": node("Load", image=name), "s": show()}) == [
        ("v", "custom_validation_failed", "image")
    ]


def test_a_deployments_limit_names_its_setting(deployment: Any) -> None:
    deployment.limits["number"] = (10, "MAX_BATCH")
    with pytest.raises(GraphRejected, match=r"11 is above this deployment's limit, 10 \(MAX_BATCH\)"):
        deployment.check({"v": node("Value", number=11), "s": show()}).raise_if_rejected()


def test_a_size_that_a_conditioning_holds_is_not_bounded(deployment: Any, node_class: Callable[..., type]) -> None:
    deployment.limits["width"] = (10, "MAX_PIXELS")
    sized = {"width": ("INT", {"min": 0, "max": 100})}
    deployment.add("Tell", node_class(lambda width: ([],), required=sized, returns=("CONDITIONING",), output=True))
    deployment.add("Make", node_class(lambda width: ([], None), required=sized, returns=("CONDITIONING", "LATENT")))
    deployment.check({"t": node("Tell", width=11)}).raise_if_rejected()
    assert deployment.problems({"m": node("Make", width=11), "s": node("Show", value=["m", 0])})[0][0] == "m"


def test_only_the_first_lines_of_many_are_in_the_message(deployment: Any) -> None:
    graph = {str(n): node("Show", value=["gone", 0]) for n in range(100)}
    error = deployment.check(graph).error
    assert error is not None
    assert error.message.endswith("; and 95 more")
    assert len(error.node_errors) == 100


def test_a_graph_of_10_000_nodes_in_a_row_is_checked(deployment: Any) -> None:
    graph = {str(n): node("Join", a=[str(n + 1), 0]) for n in range(10_000)}
    assert deployment.check({**graph, "10000": node("Value"), "s": show("0")}).outputs == ("s",)


def test_a_node_with_10_000_links_is_checked(deployment: Any, node_class: Callable[..., type]) -> None:
    wide = {f"x{n}": ("INT",) for n in range(10_000)}
    deployment.add("Wide", node_class(lambda: (), required=wide, output=True))
    graph = {str(n): node("Value", number=n % 100) for n in range(10_000)}
    links = {f"x{n}": [str(n), 0] for n in range(10_000)}
    assert deployment.check({**graph, "w": node("Wide", **links)}).outputs == ("w",)


def test_near_names_are_looked_up_for_the_first_wrong_names_alone(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []
    monkeypatch.setattr("difflib.get_close_matches", lambda word, *_, **__: lookups.append(word) or [])
    graph = {str(n): node(f"Gone{n % 5000}", mode=f"bad{n}") for n in range(10_000)}
    assert len(deployment.check(graph).node_errors) == 10_000
    assert len(lookups) <= 50


def test_10_000_broken_outputs_are_each_reported_once(deployment: Any) -> None:
    graph = {str(n): node("Show", value=["v", 1]) for n in range(10_000)}
    report = deployment.check({"v": node("Value", number=-1), **graph})
    assert len(report.node_errors) == 10_001
    assert len(report.node_errors["v"]["dependent_outputs"]) == 100


def test_what_is_sent_back_of_a_huge_value_is_short(deployment: Any) -> None:
    report = deployment.check({"v": node("Value", mode="x" * 1_000_000, number="y" * 1_000_000), "s": show()})
    assert len(json.dumps(report.node_errors)) < 4_000
