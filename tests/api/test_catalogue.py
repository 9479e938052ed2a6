from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]


def ready(api: TestClient, headers: dict[str, str]) -> None:
    api.post("/workflows/execute?wait=60", json={"workflow": {}}, headers=headers)


def test_a_right_graph_is_valid(api: TestClient, login: Headers, workflow: Workflow) -> None:
    ready(api, login())
    answer = api.post("/workflows/validate", json={"workflow": workflow()}, headers=login()).json()
    assert (answer["valid"], answer["engine"], answer["outputs"], answer["node_errors"]) == (True, "native", ["2"], {})


def test_a_wrong_graph_is_told_node_by_node(api: TestClient, login: Headers, workflow: Workflow) -> None:
    ready(api, login())
    wrong = workflow() | {"2": {"class_type": "SaveImage", "inputs": {}}}
    answer = api.post("/workflows/validate", json={"workflow": wrong}, headers=login()).json()
    assert (answer["valid"], answer["error"]["code"]) == (False, "graph_rejected")
    assert {error["type"] for error in answer["node_errors"]["2"]["errors"]} == {"required_input_missing"}


def test_a_workflow_is_converted_with_its_overrides(api: TestClient, login: Headers, workflow: Workflow) -> None:
    ready(api, login())
    nodes = [
        {"id": 1, "type": "EmptyImage", "mode": 0, "inputs": [], "widgets_values": [64, 32, 1, 255],
         "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]},
        {"id": 2, "type": "PreviewImage", "mode": 0, "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
    ]  # fmt: skip
    editors = {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "IMAGE"]], "version": 0.4}
    wire = {"workflow": editors, "overrides": {"EmptyImage.width": 16}}
    answer = api.post("/workflows/convert", json=wire, headers=login()).json()
    assert answer["workflow"]["1"]["inputs"] == {"width": 16, "height": 32, "batch_size": 1, "color": 255}
    assert answer["workflow"]["2"]["inputs"] == {"images": ["1", 0]}
