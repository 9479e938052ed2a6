"""ComfyUI's `SaveImageWebsocket`: a node whose pictures go to the client by the websocket, and nowhere else.

No engine of ours holds a client's websocket, so the node runs as `PreviewImage`, and its pictures are sent when the
prompt has ended: as binary frames, while the node is told of as the one that runs.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

CLASS = "SaveImageWebsocket"

_RUN_AS = "PreviewImage"
_PREVIEW, _PNG = 1, 2

TYPE: Mapping[str, Any] = {
    "input": {"required": {"images": ["IMAGE"]}},
    "input_order": {"required": ["images"]},
    "output": [],
    "output_is_list": [],
    "output_name": [],
    "name": CLASS,
    "display_name": CLASS,
    "description": "Sends pictures to the client that queued the prompt, by its websocket, as PNG.",
    "python_module": "comfyui_serverless",
    "category": "api/image",
    "output_node": True,
}
"""The node type as clients see it."""


def run_as_previews(workflow: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The graph as it can run, and the nodes whose pictures are sent."""
    sent = tuple(id for id, node in workflow.items() if node.get("class_type") == CLASS)
    return {**workflow, **{id: {**workflow[id], "class_type": _RUN_AS} for id in sent}}, sent


def as_posted(workflow: Any, sent: Sequence[str]) -> Any:
    """The graph as its client posted it."""
    return {**workflow, **{id: {**workflow[id], "class_type": CLASS} for id in sent if id in workflow}}


def frame(picture: bytes) -> bytes:
    """The picture, a PNG, as a binary frame."""
    return struct.pack(">II", _PREVIEW, _PNG) + picture
