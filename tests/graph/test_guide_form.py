from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.graph.guide_form import is_guide_form, to_api_format


def given(name: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "ANY", "value": value, "required": True, **more}


def test_listed_inputs_become_those_of_the_api_format() -> None:
    workflow = {
        "name": "a picture",
        "nodes": {
            "1": {"id": "1", "class_type": "EmptyImage", "inputs": [given("width", 8), given("color", 0)]},
            "2": {"id": "2", "class_type": "SaveImage", "inputs": [given("images", ["1", 0])]},
            "3": {"class_type": "Note", "inputs": {}},
        },
    }
    assert is_guide_form(workflow)
    assert to_api_format(workflow) == {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
        "3": {"class_type": "Note", "inputs": {}},
    }


def test_an_input_without_a_value_is_left_to_its_default_unless_it_is_required() -> None:
    node = {"class_type": "EmptyImage", "inputs": [given("width", None, required=False)]}
    assert to_api_format({"nodes": {"1": node}})["1"]["inputs"] == {}
    node["inputs"] = [given("width", None)]
    with pytest.raises(InvalidRequest, match="node '1': input 'width' is required and has no value"):
        to_api_format({"nodes": {"1": node}})


@pytest.mark.parametrize("each", ["width", {"value": 1}, None, []])
def test_an_input_without_a_name_is_refused(each: Any) -> None:
    with pytest.raises(InvalidRequest, match="node '1' has an input that is no object with a name"):
        to_api_format({"nodes": {"1": {"class_type": "A", "inputs": [each]}}})


@pytest.mark.parametrize(
    "workflow",
    [{"nodes": []}, {"1": {"class_type": "A"}}, {"nodes": {"class_type": "A", "inputs": {}}}, [], None],
    ids=["the editor's", "API", "a node called nodes", "list", "nothing"],
)
def test_other_forms_are_left_as_they_are(workflow: Any) -> None:
    assert not is_guide_form(workflow)
