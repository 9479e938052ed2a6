"""Which jobs go where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from runtime.request import JobRequest

Backend = Literal["local", "sqs", "runpod", "modal", "http"]


class Rule(BaseModel):
    """Where jobs go that meet every condition given here. Names of nodes and models may hold `*` and `?`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: tuple[Backend, ...] = Field(min_length=1)
    priority: tuple[Literal["low", "normal", "high"], ...] = ()
    nodes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def holds_for(self, request: JobRequest) -> bool:
        """Whether the request meets each condition: its priority, one of its node classes, one of its values."""
        if self.priority and request.priority not in self.priority:
            return False
        workflow = _read(request.workflow)
        if self.nodes and not _any_matches(_class_types(workflow), self.nodes):
            return False
        return not self.models or _any_matches(_texts([workflow, request.overrides]), self.models)


def _any_matches(found: Iterator[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for text in found for pattern in patterns)


def _read(workflow: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """The workflow as data; nothing for a text that is no object, which a worker then says."""
    if isinstance(workflow, str):
        try:
            workflow = json.loads(workflow)
        except (ValueError, RecursionError):
            return {}
    return workflow if isinstance(workflow, Mapping) else {}


def _class_types(workflow: Mapping[str, Any]) -> Iterator[str]:
    """The node classes of a graph in API format, or of an editor's."""
    nodes = workflow.get("nodes")
    for node in nodes if isinstance(nodes, list) else workflow.values():
        if isinstance(node, Mapping):
            kind = node.get("class_type") or node.get("type")
            if isinstance(kind, str):
                yield kind


def _texts(value: Any) -> Iterator[str]:
    """Every text in a workflow, names of models among them, however deep."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, Mapping):
            waiting.extend(found.values())
        elif isinstance(found, list | tuple):
            waiting.extend(found)
