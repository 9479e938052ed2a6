"""A node class's own check of its inputs: ComfyUI's VALIDATE_INPUTS."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from runtime.errors import ServerlessError
from runtime.graph.node_type import NodeType
from runtime.graph.problems import Problem, shown_error
from runtime.graph.workflow import Link, Node


def run_own_validation(node: Node, node_type: NodeType, received: Mapping[str, Any]) -> list[Problem]:
    """Ask the class with constants as given and links as None, as ComfyUI does; `received` are the links' types."""
    known = constant_arguments(node, node_type)
    given = {name: value for name, value in known.items() if node_type.validates_all or name in node_type.validates}
    if node_type.takes_input_types:
        given["input_types"] = [dict(received)] if node_type.takes_lists else dict(received)
    declared: Any = node_type.cls
    try:
        answer = settled(declared.VALIDATE_INPUTS(**given))
    except ServerlessError as exc:
        answer = exc.message
    except Exception as exc:  # a custom node's own code may raise anything: it is the graph's problem, not ours
        return [
            Problem(type="exception_during_validation", message="the node's own check failed", details=shown_error(exc))
        ]
    if answer is True:
        return []
    reason = "" if answer is False else f" - {answer}"
    return [_refused(name, reason) for name in given or {"": None}]


def _refused(name: str, reason: str) -> Problem:
    return Problem(
        type="custom_validation_failed",
        message="the node's own check refused the value",
        details=f"{name}{reason}",
        extra_info={"input_name": name},
    )


def constant_arguments(node: Node, node_type: NodeType) -> dict[str, Any]:
    """What a class is told of a node that has not run: constants as given, links as None, and the node's own id."""
    given = {
        name: None if type(value) is Link else value for name, value in node.inputs.items() if name in node_type.inputs
    }
    for name, kind in node_type.hidden.items():
        if kind != "CONTEXT":
            given[name] = {"UNIQUE_ID": node.id, "PROMPT": {}}.get(kind)
    return {name: [value] for name, value in given.items()} if node_type.takes_lists else given


def settled(answer: Any) -> Any:
    """The answer of a node class's function, also where that function is asynchronous."""
    return asyncio.run(_result(answer)) if inspect.isawaitable(answer) else answer


async def _result(answer: Any) -> Any:
    return await answer
