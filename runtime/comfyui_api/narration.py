"""One prompt's course as ComfyUI tells it over its websocket, out of what our events say of the job."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from runtime.comfyui_api.ending import Message, ReadText, begun, cached, ended, outputs_of
from runtime.jobs.record import JobRecord

_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_JPEG = 1
"""ComfyUI's numbers of binary frames (protocol.py, `BinaryEventTypes`), and of a preview's format."""


class Narration:
    """Each call answers the messages that are due by what it is told; `class_types` by node id, `now` in epoch seconds.

    Which nodes were cached is known when the job has ended, so that `execution_cached` comes then, before what they
    show.
    """

    def __init__(self, prompt_id: str, class_types: Mapping[str, str], now: Callable[[], float]) -> None:
        self.prompt_id = prompt_id
        self._class_types = class_types
        self._now = now
        self._has_begun = False
        self._node_id: str | None = None
        self._states: dict[str, dict[str, Any]] = {}

    def begins(self, record: JobRecord) -> list[Message]:
        """The job runs, or has run."""
        if self._has_begun or record.started_at is None:
            return []
        self._has_begun = True
        return begun(record)

    def progresses(self, progress: Mapping[str, Any]) -> list[Message]:
        """Where the job stands: `Progress.to_wire`."""
        node_id, step, steps = progress["node_id"], progress["step"], progress["steps"]
        if node_id is None:
            return []
        messages = [*self._begins_now(), *self.runs(node_id)]
        if not steps:
            return messages
        value, of = min(step, steps), steps
        self._states[node_id] = self._state(node_id, value, of, "running")
        told = {"value": value, "max": of, "prompt_id": self.prompt_id, "node": node_id}
        return [*messages, self._progress_state(), ("progress", told)]

    def preview(self, picture: bytes, *, with_metadata: bool) -> bytes | None:
        """A JPEG of what the running node is at, as a binary frame: whose it is is told to those who read that."""
        if self._node_id is None:
            return None
        if not with_metadata:
            return struct.pack(">II", _PREVIEW, _JPEG) + picture
        whose = {
            "node_id": self._node_id,
            "display_node_id": self._node_id,
            "parent_node_id": None,
            "real_node_id": self._node_id,
            "prompt_id": self.prompt_id,
            "image_type": "image/jpeg",
        }
        told = json.dumps(whose).encode()
        return struct.pack(">II", _PREVIEW_WITH_METADATA, len(told)) + told + picture

    def runs(self, node_id: str) -> list[Message]:
        """The node that runs now, if it is another than was told of last."""
        if node_id == self._node_id:
            return []
        self._finish_node()
        self._node_id = node_id
        self._states[node_id] = self._state(node_id, 0, 1, "running")
        told = {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id}
        return [self._progress_state(), ("executing", told)]

    def ends(self, record: JobRecord, read_text: ReadText) -> list[Message]:
        """Everything that is left to tell of a job that has ended; then that nothing of it runs."""
        messages = [*self.begins(record)]
        if record.started_at is not None:
            messages.append(cached(record))
        outputs = outputs_of(record, read_text)
        for id, shown in outputs.items():
            told = {"node": id, "display_node": id, "output": shown, "prompt_id": self.prompt_id}
            messages.append(("executed", told))
            self._states.setdefault(id, self._state(id, 1, 1, "finished"))
        self._finish_node()
        if self._states:
            messages.append(self._progress_state())
        return [*messages, ended(record, self._class_types)]

    def after_end(self) -> Message:
        """That no node of the prompt runs: what clients wait for."""
        return "executing", {"node": None, "prompt_id": self.prompt_id}

    def _begins_now(self) -> list[Message]:
        """A worker here tells of progress before the record is looked at."""
        if self._has_begun:
            return []
        self._has_begun = True
        return [("execution_start", {"prompt_id": self.prompt_id, "timestamp": round(self._now() * 1000)})]

    def _finish_node(self) -> None:
        if self._node_id is not None:
            of = self._states[self._node_id]["max"]
            self._states[self._node_id] = self._state(self._node_id, of, of, "finished")

    def _progress_state(self) -> Message:
        return "progress_state", {"prompt_id": self.prompt_id, "nodes": dict(self._states)}

    def _state(self, id: str, value: float, of: float, state: str) -> dict[str, Any]:
        return {
            "value": value,
            "max": of,
            "state": state,
            "node_id": id,
            "prompt_id": self.prompt_id,
            "display_node_id": id,
            "parent_node_id": None,
            "real_node_id": id,
        }
