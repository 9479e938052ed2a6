"""What conversion does beyond what the front end's results show: other packs' nodes, and errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from runtime.errors import GraphRejected, InvalidRequest, UnknownNode
from runtime.graph.ui.convert import convert
from runtime.graph.ui.document import read_document
from scripts.ui_reference.cases import BYPASSED, MUTED, Inside, Sketch, empty_image, invert, save

Converted = Callable[[Any], dict[str, Any]]
IMAGE = (("image", "IMAGE"),)


def test_an_unknown_node_is_named_with_its_title_and_type(converted: Converted) -> None:
    made = Sketch()
    made.node("NobodysNode", title="My upscaler")
    with pytest.raises(UnknownNode, match=r"node 1 'My upscaler' \(NobodysNode\)"):
        converted(made.saved())


def test_an_unknown_node_may_be_left_to_the_engine(object_info: dict[str, Any]) -> None:
    made = Sketch()
    node = made.node("NobodysNode", [1], inputs=IMAGE)
    made.link(empty_image(made), 0, node, "image")
    sent = convert(
        read_document(made.saved()),
        object_info,
        choose=lambda count: 0,
        now=datetime(2026, 1, 1),
        max_nodes=9,
        sends_unknown=True,
    )
    assert sent["1"] == {"class_type": "NobodysNode", "inputs": {"image": ["2", 0]}, "_meta": {"title": ""}}


def test_an_unknown_node_that_is_muted_or_bypassed_is_none_that_would_run(converted: Converted) -> None:
    made = Sketch()
    picture = empty_image(made)
    passed = made.node("NobodysNode", inputs=IMAGE, outputs=("IMAGE",), mode=BYPASSED)
    made.node("NobodysOther", mode=MUTED)
    made.link(picture, 0, passed, "image")
    made.link(passed, 0, save(made), "images")
    assert converted(made.saved())["4"]["inputs"]["images"] == ["1", 0]


def test_values_may_be_saved_by_name(converted: Converted) -> None:
    made = Sketch()
    made.node("EmptyImage", {"height": 8, "width": 4, "videopreview": {"hidden": True}}, outputs=("IMAGE",))
    assert converted(made.saved())["1"]["inputs"] == {"width": 4, "height": 8, "batch_size": 1, "color": 0}


def test_a_get_node_takes_what_the_set_node_of_its_name_has(converted: Converted) -> None:
    made = Sketch()
    picture = empty_image(made)
    kept = made.node("SetNode", ["picture"], inputs=(("IMAGE", "IMAGE"),), outputs=("*",))
    made.link(picture, 0, kept, "IMAGE")
    taken = made.node("GetNode", ["picture"], outputs=("IMAGE",))
    made.link(taken, 0, save(made), "images")
    assert converted(made.saved())["4"]["inputs"]["images"] == ["1", 0]


def test_a_get_node_without_its_set_node_feeds_nothing(converted: Converted) -> None:
    made = Sketch()
    taken = made.node("GetNode", ["picture"], outputs=("IMAGE",))
    made.link(taken, 0, save(made), "images")
    assert "images" not in converted(made.saved())["2"]["inputs"]


def test_two_instances_of_a_subgraph_have_texts_of_their_own(converted: Converted) -> None:
    inside = Inside("text", "Text", (("text", "STRING"),), (("CONDITIONING", "CONDITIONING"),))
    slots = (("clip", "CLIP"), ("text", "STRING", "text"))
    encoder = inside.node("CLIPTextEncode", ["within"], inputs=slots, outputs=("CONDITIONING",))
    inside.link(None, 0, encoder, "text")
    inside.link(encoder, 0, None, 0, "CONDITIONING")
    made = Sketch()
    for text in ("one", "two"):
        made.node("text", [text], inputs=(("text", "STRING", "text"),), outputs=("CONDITIONING",))
    sent = converted(made.saved(definitions={"subgraphs": [inside.definition()]}))
    assert [sent[id]["inputs"]["text"] for id in ("1:1", "2:1")] == ["one", "two"]


def test_a_primitive_inside_a_subgraph_sets_its_widget(converted: Converted) -> None:
    inside = Inside("wide", "Wide", (), (("IMAGE", "IMAGE"),))
    number = inside.node("PrimitiveNode", [48, "fixed"], outputs=("INT",))
    picture = inside.node("EmptyImage", [1, 2, 1, 0], inputs=(("width", "INT", "width"),), outputs=("IMAGE",))
    inside.link(number, 0, picture, "width")
    inside.link(picture, 0, None, 0, "IMAGE")
    made = Sketch()
    made.node("wide", [], outputs=("IMAGE",))
    assert converted(made.saved(definitions={"subgraphs": [inside.definition()]}))["1:2"]["inputs"]["width"] == 48


def test_a_date_in_a_file_name_is_filled_in(converted: Converted) -> None:
    made = Sketch()
    save(made, "%date:yyyy-MM-dd hh.mm%_%date:yy-M-d h_m_s%")
    assert converted(made.saved())["1"]["inputs"]["filename_prefix"] == "%date:yyyy-MM-dd hh.mm%_26-3-4 5_6_7"


def test_a_node_that_needs_the_browser_is_refused(converted: Converted) -> None:
    made = Sketch()
    made.node("WebcamCapture", [None, 640, 480, True], outputs=("IMAGE",))
    with pytest.raises(InvalidRequest, match=r"node 1 .*WebcamCapture.* takes a picture with the browser's camera"):
        converted(made.saved())


def circle_of_reroutes() -> Any:
    made = Sketch()
    one, two = (made.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",)) for _ in range(2))
    made.link(one, 0, two, "")
    made.link(two, 0, one, "")
    made.link(two, 0, save(made), "images")
    return made.saved()


def link_to_a_missing_node() -> Any:
    made = Sketch()
    made.link(empty_image(made), 0, save(made), "images")
    del made.nodes[0]
    return made.saved()


def link_that_is_missing() -> Any:
    made = Sketch()
    save(made)["inputs"][0]["link"] = 77
    return made.saved()


def subgraph_within_itself() -> Any:
    inside = Inside("self", "Endless", (), ())
    inside.node("self", [])
    made = Sketch()
    made.node("self", [])
    return made.saved(definitions={"subgraphs": [inside.definition()]})


def group_within_itself() -> Any:
    made = Sketch()
    made.node("workflow>Endless", [])
    return made.saved(extra={"groupNodes": {"Endless": {"nodes": [{"type": "workflow>Endless"}], "links": []}}})


def subgraphs_that_multiply() -> Any:
    """Each level has two of the next: 2 to the power of 24 nodes."""
    levels = []
    for level in range(24):
        inside = Inside(f"level{level}", "Level", (), ())
        for _ in range(2):
            invert(inside) if level == 23 else inside.node(f"level{level + 1}", [])
        levels.append(inside.definition())
    made = Sketch()
    made.node("level0", [])
    return made.saved(definitions={"subgraphs": levels})


def group_nodes_that_multiply() -> Any:
    """40 instances of a group of 40 nodes."""
    nodes = [{"type": "ImageInvert"} for _ in range(40)]
    made = Sketch()
    for _ in range(40):
        made.node("workflow>Many", [])
    return made.saved(extra={"groupNodes": {"Many": {"nodes": nodes, "links": []}}})


@pytest.mark.parametrize(
    ("workflow", "words"),
    [
        (group_nodes_that_multiply(), "more than 1000 nodes"),
        (circle_of_reroutes(), "node 3 .*'images': its links go in a circle"),
        (link_to_a_missing_node(), "link 1 comes from node 1, which does not exist"),
        (link_that_is_missing(), "link 77 is not among"),
        (subgraph_within_itself(), "subgraph 'Endless' is within itself"),
        (group_within_itself(), "group node 'Endless' is within itself"),
        (subgraphs_that_multiply(), "more than 1000 nodes"),
        ({"nodes": [7]}, "a node is 7; expected an object"),
        ({"nodes": [{"id": 1}]}, "node 1 has no type"),
        ({"nodes": [{"id": None, "type": "A"}]}, "id of a node is missing"),
        ({"nodes": [], "links": [[1, 2]]}, "a link has 2 parts"),
        ({"nodes": [], "links": [[1, 2, "x", 3, 0, "A"]]}, "origin's slot of link 1 is 'x'"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": {}}]}, "inputs of node 1 is a dict; expected a list"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{}] * 2001}]}, "node 1 has 2001 inputs"),
        ({"nodes": [{"id": 1, "type": "A", "mode": 1.5}]}, "mode of node 1 is 1.5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_workflow_is_refused_with_its_place(workflow: Any, words: str, converted: Converted) -> None:
    with pytest.raises((InvalidRequest, GraphRejected), match=words):
        converted(workflow)
