"""The workflow of a request, in whatever form it came, in API format."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.errors import GraphRejected, InvalidRequest
from runtime.graph.embedded import is_media, workflow_in
from runtime.graph.guide_form import is_guide_form, to_api_format
from runtime.graph.ui.convert import convert
from runtime.graph.ui.document import is_ui_format, read_document
from runtime.graph.ui.texts import Choose
from runtime.graph.ui.types_named import types_named
from runtime.graph.workflow import read_json

TypesFor = Callable[[Set[str]], Mapping[str, Any]]
"""The object_info of the engine that shall run a graph with nodes of the types named."""


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """`workflow` in API format, as far as it is a workflow at all; `editors` is the editor's where it came with one."""

    workflow: Any
    editors: Mapping[str, Any] | None = None

    @property
    def extra_pnginfo(self) -> Mapping[str, Any]:
        """What pictures carry beside the graph: the editor's workflow, so that they open in it again."""
        return {} if self.editors is None else {"workflow": self.editors}


def read_incoming(
    given: Mapping[str, Any] | str, types_for: TypesFor, *, seed: str, max_nodes: int, sends_unknown: bool = False
) -> Incoming:
    """Read an object or a string: of JSON, or a picture that carries its workflow, as base64 or a data: URL.

    An object is in API format, in the editor's or in `guide_form`'s.

    The editor's format is converted with the node types of the engine that `types_for` picks; `seed` decides what is
    drawn from `{a|b}` in its prompts; `sends_unknown` is convert's. Raises InvalidRequest or GraphRejected naming what
    is wrong.
    """
    workflow, editors = _from_text(given) if isinstance(given, str) else (given, None)
    if not is_ui_format(workflow):
        if is_guide_form(workflow):
            workflow = to_api_format(workflow)
        _refuse_many(workflow, max_nodes)
        return Incoming(workflow=workflow, editors=editors)
    _refuse_many(workflow["nodes"], max_nodes)
    document = read_document(workflow)
    object_info = types_for(types_named(document))
    try:
        converted = convert(
            document,
            object_info,
            choose=_drawing(seed),
            now=datetime.now(),
            max_nodes=max_nodes,
            sends_unknown=sends_unknown,
        )
    except RecursionError as exc:
        raise InvalidRequest("workflow has a value that is nested too deep to convert") from exc
    return Incoming(workflow=converted, editors=workflow)


def _drawing(seed: str) -> Choose:
    """Draws that are the same each time that a job is tried."""
    numbers = itertools.count()

    def choose(count: int) -> int:
        digest = hashlib.sha256(f"{seed}:{next(numbers)}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % count

    return choose


def _from_text(text: str) -> tuple[Any, Mapping[str, Any] | None]:
    """The workflow in `text`, and the editor's that a picture carries beside it."""
    data = _decoded(text)
    if data is None:
        return read_json(text), None
    carried = workflow_in(data, "the workflow's file")
    return carried.workflow, carried.editors


def _decoded(text: str) -> bytes | None:
    """The file that `text` is, as base64; None where it is none."""
    start = text[:300].lstrip()
    payload = text.strip()
    if start[:5].lower() == "data:":
        head, comma, payload = payload.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise InvalidRequest("workflow is a data: URL not of the form data:TYPE;base64,...")
    elif start[:1] in ("{", "[", '"', ""):
        return None
    try:
        data = base64.b64decode("".join(payload.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        if start[:5].lower() == "data:":
            raise InvalidRequest(f"workflow is a data: URL whose base64 is wrong: {exc}") from exc
        return None
    return data if start[:5].lower() == "data:" or is_media(data) else None


def _refuse_many(nodes: Any, limit: int) -> None:
    """Before each of them is looked at."""
    if isinstance(nodes, Mapping | list) and len(nodes) > limit:
        raise GraphRejected(f"the workflow has {len(nodes)} nodes; this deployment takes {limit} (MAX_NODES)")
