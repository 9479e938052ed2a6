"""A prompt as clients post it, read into a request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.comfyui_api.errors import PromptRefused
from runtime.comfyui_api.websocket_images import run_as_previews
from runtime.errors import InvalidRequest
from runtime.graph.workflow import Graph, parse_workflow
from runtime.json_text import read_json
from runtime.request import JobRequest

USER = "comfyui"
"""The `user_id` of every job that came this way, by which they are listed."""

_LONGEST_CLIENT_ID = 200
_LARGEST_NUMBER = 1e15
_LONGEST_S = 86_400.0  # ComfyUI has no time limit of its own; MAX_TIMEOUT_S is this deployment's


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What was posted. `number` None: the next one; `is_front`: before whatever waits.

    `sent` has the nodes whose pictures go to the client by its websocket.
    """

    request: JobRequest
    prompt_id: str
    client_id: str | None
    number: float | None = None
    is_front: bool = False
    sent: tuple[str, ...] = ()


def read_submission(body: bytes) -> Submission:
    """Read the body of `POST /prompt`. Raises PromptRefused."""
    posted = _object(body)
    if "prompt" not in posted:
        raise PromptRefused('the body has no "prompt": expected a workflow in API format there', kind="no_prompt")
    extra = _mapping(posted, "extra_data")
    prompt_id = str(posted.get("prompt_id") or uuid.uuid4())
    client_id = posted.get("client_id")
    is_front = posted.get("front") is True
    try:
        graph = parse_workflow(posted["prompt"])
        workflow, sent = run_as_previews(_reduced(graph, posted.get("partial_execution_targets")))
        request, _ = JobRequest.parse(
            {
                "workflow": workflow,
                "job_id": prompt_id,
                "user_id": USER,
                "priority": "high" if is_front else "normal",
                "timeout_s": _LONGEST_S,
                "previews": isinstance(client_id, str),
                "extra_pnginfo": extra.get("extra_pnginfo") or {},
                "comfy_org_api_key": extra.get("api_key_comfy_org"),
            }
        )
    except InvalidRequest as exc:
        raise PromptRefused.of(exc) from exc
    return Submission(
        request=request,
        prompt_id=prompt_id,
        client_id=client_id[:_LONGEST_CLIENT_ID] if isinstance(client_id, str) else None,
        number=_number(posted.get("number")),
        is_front=is_front,
        sent=sent,
    )


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        posted = read_json(body)
    except (ValueError, RecursionError) as exc:
        raise PromptRefused(f"the body is not JSON: {str(exc)[:200]}", kind="invalid_prompt") from exc
    if not isinstance(posted, Mapping):
        raise PromptRefused('the body is no JSON object; expected {"prompt": {...}}', kind="no_prompt")
    return posted


def _number(given: object) -> float | None:
    """The prompt's place in the queue where a client asks for one; what is no number that a float can be is none."""
    if not isinstance(given, int | float) or abs(given) > _LARGEST_NUMBER:
        return None
    return float(given)


def _mapping(posted: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = posted.get(name) or {}
    if not isinstance(value, Mapping):
        raise PromptRefused(f"{name} is no object", kind="invalid_prompt")
    return value


def _reduced(graph: Graph, targets: object) -> Mapping[str, Any]:
    """The nodes that the target nodes need, where a client asks for these alone."""
    if not isinstance(targets, list):
        return graph.source
    wanted: set[str] = set()
    stack = [str(target) for target in targets]
    while stack:
        id = stack.pop()
        if id in graph.nodes and id not in wanted:
            wanted.add(id)
            stack += [link.node_id for _, link in graph.nodes[id].links]
    return {id: node for id, node in graph.source.items() if id in wanted}
