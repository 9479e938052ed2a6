"""Calling a node's function over lists of values, and reading what it returns, as ComfyUI's node protocol says."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.engines.native.cache import Outputs
from runtime.errors import NodeFailed
from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Node

Arguments = dict[str, list[Any]]


class ExecutionBlocker:
    """A value that stops every node it reaches; with a `message`, the job fails and says it."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """What the calls of one node returned: its outputs, or the graphs that stand for it, one a call."""

    outputs: Outputs = field(default_factory=list)
    graphs: tuple[Mapping[str, Any] | None, ...] = ()
    results: tuple[Any, ...] = ()
    ui: tuple[Mapping[str, Any], ...] = ()


def call_node(node: Node, node_type: NodeType, arguments: Arguments, hidden: Mapping[str, Any]) -> Returned:
    """Call the node's function once, or once for each place of its longest input."""
    function = getattr(node_type.cls(), node_type.function)
    answers = [_call(function, values, node) for values in _slices(node_type, arguments, hidden)]
    if any(inspect.iscoroutine(answer) for answer in answers):
        answers = asyncio.run(_gather(answers))
    return _read(answers, node, node_type)


def ask_lazy(node: Node, node_type: NodeType, arguments: Arguments, hidden: Mapping[str, Any]) -> set[str]:
    """The names of lazy inputs that the node says it needs, with those it has not got given as None."""
    absent = {name: [None] for name in node.inputs if name in node_type.inputs and name not in arguments}
    function = getattr(node_type.cls(), "check_lazy_status")  # noqa: B009 - the class is any custom node's
    wanted: set[str] = set()
    for values in _slices(node_type, {**arguments, **absent}, hidden):
        if _blocker(values) is None:
            wanted.update(name for name in function(**values) or () if isinstance(name, str))
    return wanted


def _slices(node_type: NodeType, arguments: Arguments, hidden: Mapping[str, Any]) -> list[dict[str, Any]]:
    if node_type.takes_lists:
        return [{**arguments, **{name: [value] for name, value in hidden.items()}}]
    longest = max(map(len, arguments.values()), default=1)
    return [
        {**{name: values[min(place, len(values) - 1)] for name, values in arguments.items() if values}, **hidden}
        for place in range(longest)
    ]


def _call(function: Any, values: dict[str, Any], node: Node) -> Any:
    blocker = _blocker(values)
    if blocker is None:
        return function(**values)
    if blocker.message is not None:
        raise NodeFailed(f"{node.class_type} (node {node.id}) was blocked: {blocker.message}", node_id=node.id)
    return blocker


def _blocker(values: Mapping[str, Any]) -> ExecutionBlocker | None:
    for value in values.values():
        for item in value if type(value) is list else (value,):
            if isinstance(item, ExecutionBlocker):
                return item
    return None


async def _gather(answers: list[Any]) -> list[Any]:
    async def wait(answer: Any) -> Any:
        return await answer if inspect.iscoroutine(answer) else answer

    return list(await asyncio.gather(*map(wait, answers)))


def _read(answers: list[Any], node: Node, node_type: NodeType) -> Returned:
    width = len(node_type.return_types)
    results, graphs, ui = [], [], []
    for answer in answers:
        graph = None
        if isinstance(answer, Mapping):
            if answer.get("ui"):
                ui.append(answer["ui"])
            graph, answer = answer.get("expand"), answer.get("result", ())
        graphs.append(graph)
        results.append(_row(answer, width, node))
    if any(graph is not None for graph in graphs):
        return Returned(graphs=tuple(graphs), results=tuple(results), ui=tuple(ui))
    return Returned(outputs=merge(results, node_type), ui=tuple(ui))


def _row(answer: Any, width: int, node: Node) -> tuple[Any, ...]:
    if isinstance(answer, ExecutionBlocker):
        return (answer,) * width
    if isinstance(answer, tuple | list):
        return tuple(answer)
    if answer is None and width == 0:
        return ()
    raise NodeFailed(
        f"{node.class_type} (node {node.id}) returned a {type(answer).__name__}; expected a tuple of {width} values",
        node_id=node.id,
    )


def merge(rows: list[tuple[Any, ...]], node_type: NodeType) -> Outputs:
    """One list an output: the calls' values side by side, an OUTPUT_IS_LIST output's lists end to end."""
    if not rows:
        return []
    if len(rows) == 1 and not any(node_type.lists_out):
        return [[value] for value in rows[0]]
    merged: Outputs = [[] for _ in rows[0]]
    for row in rows:
        for place, value in enumerate(row):
            is_list = place < len(node_type.lists_out) and node_type.lists_out[place]
            if is_list and not isinstance(value, ExecutionBlocker):
                merged[place].extend(value)
            else:
                merged[place].append(value)
    return merged
