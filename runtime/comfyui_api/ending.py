"""What a job's record says of its prompt, in the terms of ComfyUI's messages and of its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime.clock import epoch_s
from runtime.comfyui_api.names import name_of
from runtime.jobs.record import JobRecord, Status, StoredOutput

Message = tuple[str, dict[str, Any]]
"""Its type and its data."""

ReadText = Callable[[StoredOutput], "str | None"]
"""What a text that a node showed says; None if it is gone."""

_UI_NAMES = {"image": "images", "video": "images", "audio": "audio", "latent": "latents", "file": "files"}


def outputs_of(record: JobRecord, read_text: ReadText) -> dict[str, dict[str, Any]]:
    """What each node shows, by its id."""
    shown: dict[str, dict[str, Any]] = {}
    for output in record.outputs:
        of_node = shown.setdefault(output.node_id, {})
        if output.kind == "text":
            of_node.setdefault("text", []).append(read_text(output) or "")
            continue
        of_node.setdefault(_UI_NAMES[output.kind], []).append(name_of(record.job_id, output).to_wire())
        if output.kind == "video":
            of_node["animated"] = [True]
    return shown


def begun(record: JobRecord) -> list[Message]:
    """The message of a job's beginning, once it has begun."""
    if record.started_at is None:
        return []
    return [("execution_start", {"prompt_id": record.job_id, "timestamp": _milliseconds(record.started_at)})]


def cached(record: JobRecord) -> Message:
    """Which nodes did not need to run."""
    at = _milliseconds(record.started_at or record.created_at)
    return "execution_cached", {"nodes": list(record.cached_nodes), "prompt_id": record.job_id, "timestamp": at}


def ended(record: JobRecord, class_types: Mapping[str, str]) -> Message:
    """How the job ended; `class_types` by node id."""
    told: dict[str, Any] = {
        "prompt_id": record.job_id,
        "timestamp": _milliseconds(record.finished_at or record.created_at),
    }
    if record.status is Status.COMPLETED:
        return "execution_success", told
    error = record.error
    node_id = error.node_id if error and error.node_id else record.progress.node_id if record.progress else None
    told |= {"node_id": node_id, "node_type": class_types.get(node_id or ""), "executed": []}
    if record.status is Status.CANCELLED:
        return "execution_interrupted", told
    return "execution_error", {
        **told,
        "exception_type": error.code if error else record.status.value,
        "exception_message": error.message if error else f"the job has {record.status.value}",
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }


def history_entry(
    record: JobRecord, prompt: list[Any], class_types: Mapping[str, str], read_text: ReadText
) -> dict[str, Any]:
    """The entry of an ended job; `prompt` is its number, id, graph, extra data and output nodes."""
    outputs = outputs_of(record, read_text)
    is_success = record.status is Status.COMPLETED
    return {
        "prompt": prompt,
        "outputs": outputs,
        "status": {
            "status_str": "success" if is_success else "error",
            "completed": is_success,
            "messages": [*begun(record), cached(record), ended(record, class_types)],
        },
        "meta": {id: {"node_id": id, "display_node": id, "parent_node": None, "real_node_id": id} for id in outputs},
    }


def _milliseconds(text: str) -> int:
    return round(epoch_s(text) * 1000)
