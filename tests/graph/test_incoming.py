"""The forms that a request's workflow may have."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Set
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime.errors import GraphRejected, InvalidRequest
from runtime.graph.incoming import Incoming, read_incoming

SENT = {"1": {"class_type": "Text", "inputs": {"text": "a"}}}
TEXT_SETTINGS = {"multiline": True, "dynamicPrompts": True}
OBJECT_INFO = {"Text": {"input": {"required": {"text": ["STRING", TEXT_SETTINGS]}}, "output": ["STRING"]}}


def editors(*texts: str, **fields: Any) -> dict[str, Any]:
    nodes = [{"id": at, "type": "Text", "widgets_values": [text], **fields} for at, text in enumerate(texts, 1)]
    return {"nodes": nodes, "links": [], "version": 0.4}


def read(given: Any, *, seed: str = "job", max_nodes: int = 100) -> Incoming:
    return read_incoming(given, lambda types: OBJECT_INFO, seed=seed, max_nodes=max_nodes)


def png(workflow: Any) -> bytes:
    info = PngInfo()
    info.add_text("workflow", json.dumps(workflow))
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def test_api_format_stays_as_it_is() -> None:
    assert read(SENT) == Incoming(workflow=SENT)


def test_a_string_of_json_is_read() -> None:
    assert read(json.dumps(SENT)).workflow == SENT


def test_the_editors_format_is_converted_and_kept_for_the_pictures() -> None:
    incoming = read(editors("a"))
    assert incoming.workflow["1"]["inputs"] == {"text": "a"}
    assert incoming.extra_pnginfo == {"workflow": editors("a")}


@pytest.mark.parametrize("prefix", ["data:image/png;base64,", "", "  \n"])
def test_a_picture_as_base64_is_its_workflow(prefix: str) -> None:
    text = prefix + base64.b64encode(png(editors("a"))).decode()
    assert read(text).workflow["1"]["inputs"] == {"text": "a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "not JSON"),
        ("aGVsbG8=", "not JSON"),
        ("data:image/png,x", "not of the form"),
        ("data:image/png;base64,!!", "base64 is wrong"),
        ("data:image/jpeg;base64,/9j/4A==", "is no PNG, WebP"),
    ],
)
def test_another_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read(text)


def test_the_engine_is_asked_for_the_types_that_would_run() -> None:
    asked: list[Set[str]] = []

    def types_for(types: Set[str]) -> Any:
        asked.append(types)
        return OBJECT_INFO

    workflow = editors("a")
    workflow["nodes"] += [{"id": 8, "type": "Gone", "mode": 4}, {"id": 9, "type": "Note"}]
    read_incoming(workflow, types_for, seed="", max_nodes=100)
    assert asked == [{"Text"}]


def test_what_is_saved_but_not_used_needs_no_engine() -> None:
    asked: list[Set[str]] = []

    def types_for(types: Set[str]) -> Any:
        asked.append(types)
        return OBJECT_INFO

    group = {"nodes": [{"type": "Text"}, {"type": "Reroute"}], "links": []}
    unused = {"nodes": [{"type": "Gone"}], "links": []}
    subgraph = {"id": "sub", "name": "Unused", "nodes": [{"id": 1, "type": "Gone"}], "links": []}
    workflow = {
        "nodes": [{"id": 1, "type": "workflow>Used"}],
        "extra": {"groupNodes": {"Used": group, "Unused": unused}},
        "definitions": {"subgraphs": [subgraph]},
    }
    sent = read_incoming(workflow, types_for, seed="", max_nodes=100).workflow
    assert asked == [{"Text"}]
    assert [node["class_type"] for node in sent.values()] == ["Text"]


def test_a_job_draws_the_same_choices_each_time_it_is_tried() -> None:
    workflow = editors(*["{a|b|c|d}"] * 20)
    first, again, other = (read(workflow, seed=seed).workflow for seed in ("one", "one", "two"))
    assert first == again != other


@pytest.mark.parametrize("workflow", [SENT | {"2": {}}, editors("a", "b")], ids=["API format", "the editor's"])
def test_more_nodes_than_the_deployment_takes_are_refused(workflow: Any) -> None:
    with pytest.raises(GraphRejected, match="2 nodes; this deployment takes 1"):
        read(workflow, max_nodes=1)


def test_a_value_nested_beyond_measure_is_refused() -> None:
    nested: Any = "x"
    for _ in range(5000):
        nested = [nested]
    workflow = editors("a")
    workflow["nodes"][0]["widgets_values"] = [nested]
    with pytest.raises(InvalidRequest, match="nested too deep"):
        read(workflow)
