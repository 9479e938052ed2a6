"""Calling a node's function over lists of values, and reading what it returns, as ComfyUI's node protocol says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any

from runtime.engines.native.cache import Outputs
from runtime.errors import NodeFailed
from runtime.graph.node_type import NodeType
from runtime.graph.own_validation import settled
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


def call_node(
    node: Node,
    node_type: NodeType,
    instance: Any,
    arguments: Arguments,
    hidden: Mapping[str, Any],
    admit: Callable[[Node, NodeType, Mapping[str, Any]], None] | None,
) -> Returned:
    """Call the node's function once, or once for each place of its longest input; on a new object if none is given.

    `admit`, if any, is given the values of each call before the first one is made, and raises what forbids it.
    """
    function = getattr(node_type.cls() if instance is None else instance, node_type.function)
    calls = _calls(node, node_type, arguments, hidden)
    blockers = [_refuse_message(_blocker(values, node_type), node) for values in calls]
    if admit is not None:
        for values in (values for blocker, values in zip(blockers, calls, strict=True) if blocker is None):
            admit(node, node_type, values)
    answers = [blocker or function(**values) for blocker, values in zip(blockers, calls, strict=True)]
    if any(type(answer) is CoroutineType for answer in answers):
        answers = asyncio.run(_gather(answers))
    return _read(answers, node, node_type)


def ask_lazy(
    node: Node, node_type: NodeType, instance: Any, arguments: Arguments, hidden: Mapping[str, Any]
) -> set[str]:
    """The names of the inputs that the node says it needs, when it is given None for those it has not got."""
    wanted: set[str] = set()
    for values in _calls(node, node_type, arguments, hidden):
        if _blocker(values, node_type) is None:
            answer = settled(instance.check_lazy_status(**values))
            if isinstance(answer, list | tuple | set):
                wanted.update(name for name in answer if isinstance(name, str))
    return wanted


def _calls(node: Node, node_type: NodeType, arguments: Arguments, hidden: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keyword arguments of each call; a shorter list repeats its last value."""
    if node_type.takes_lists:
        return [{**arguments, **{name: [value] for name, value in hidden.items()}}]
    longest = 1
    for name, values in arguments.items():
        if not values:
            raise NodeFailed(f"{node.class_type} (node {node.id}) was given an empty list for {name}", node_id=node.id)
        longest = max(longest, len(values))
    return [
        {**{name: values[place] if place < len(values) else values[-1] for name, values in arguments.items()}, **hidden}
        for place in range(longest)
    ]


def _blocker(values: Mapping[str, Any], node_type: NodeType) -> ExecutionBlocker | None:
    found: Iterable[Any] = values.values()
    if node_type.takes_lists:
        found = [item for items in found for item in items]
    for value in found:
        if type(value) is ExecutionBlocker:
            return value
    return None


def _refuse_message(blocker: ExecutionBlocker | None, node: Node) -> ExecutionBlocker | None:
    if blocker is not None and blocker.message is not None:
        raise NodeFailed(f"{node.class_type} (node {node.id}) was blocked: {blocker.message}", node_id=node.id)
    return blocker


async def _gather(answers: list[Any]) -> list[Any]:
    async def wait(answer: Any) -> Any:
        return await answer if type(answer) is CoroutineType else answer

    return list(await asyncio.gather(*map(wait, answers)))


def _read(answers: list[Any], node: Node, node_type: NodeType) -> Returned:
    rows, graphs, ui = [], [], []
    for answer in answers:
        graph = None
        if isinstance(answer, dict):
            if answer.get("ui"):
                ui.append(answer["ui"])
            graph, answer = answer.get("expand"), answer.get("result", ())
        graphs.append(graph)
        rows.append(answer if type(answer) is tuple else _row(answer, node, node_type))
    if any(graph is not None for graph in graphs):
        return Returned(graphs=tuple(graphs), results=tuple(rows), ui=tuple(ui))
    return Returned(outputs=merge(rows, node_type), ui=tuple(ui))


def _row(answer: Any, node: Node, node_type: NodeType) -> tuple[Any, ...]:
    width = len(node_type.return_types)
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
    if len(rows) == 1 and not node_type.makes_lists:
        return [[value] for value in rows[0]]
    merged: Outputs = [[] for _ in rows[0]]
    for row in rows:
        for place, (values, value) in enumerate(zip(merged, row, strict=False)):
            if node_type.is_list_out(place) and not isinstance(value, ExecutionBlocker):
                values.extend(value)
            else:
                values.append(value)
    return merged
