"""Which nodes of a graph have still to run, and which results are still to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runtime.engines.native.cache import Outputs
from runtime.engines.native.keys import NodeKeys
from runtime.engines.native.step import Step
from runtime.errors import GraphRejected
from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Link, Node


class Plan:
    """The steps of one job, by node id. `done` of `total` steps have run or turned out not to be needed."""

    def __init__(self, nodes: Mapping[str, Node], node_type: Callable[[str], NodeType], keys: NodeKeys) -> None:
        self.nodes = dict(nodes)
        self.steps: dict[str, Step] = {}
        self.done = 0
        self.total = 0
        self._node_type = node_type
        self._keys = keys
        self._planned: set[str] = set()

    def add(self, roots: Sequence[str]) -> None:
        """Make a step of every node that `roots` need, and count how often its outputs will be read.

        The roots themselves count as read once more than their links say, until they are released.
        """
        nodes, planned = self.nodes, self._planned
        stack, path = list(roots), set[str]()
        while stack:
            id = stack[-1]
            if id in planned:
                stack.pop()
                continue
            unplanned = [link.node_id for _, link in nodes[id].links if link.node_id not in planned]
            if not unplanned:
                self._add_step(nodes[id])
            elif id in path:
                refuse_ring(id, stack)
            path.add(id)
            stack += unplanned
        for id in roots:
            self.steps[id].uses += 1

    def _add_step(self, node: Node) -> None:
        if node.id not in self.steps:
            node_type = self._node_type(node.class_type)
            self.steps[node.id] = Step(node=node, node_type=node_type, key=self._keys.add(node, node_type))
        self._planned.add(node.id)
        self.total += 1
        for _, link in node.links:
            self.steps[link.node_id].uses += 1

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that have no outputs."""
        return [id for id in ids if self.steps[id].outputs is None]

    def output(self, link: Link) -> list[Any]:
        """What a link brings: None, as in ComfyUI, where a node returned less than it declares."""
        outputs = self.steps[link.node_id].outputs or []
        return outputs[link.output] if link.output < len(outputs) else [None]

    def finish(self, step: Step, outputs: Outputs) -> None:
        """Keep what a node gave, and count what it read."""
        step.outputs = outputs
        self.done += 1
        self.release([link.node_id for _, link in step.node.links])

    def release(self, ids: list[str]) -> None:
        """Count each of `ids` as read once more.

        What nobody will read is let go of: outputs, and nodes that thereby need not run, with what only they would
        have read. One that an expansion asks for later is added anew.
        """
        while ids:
            step = self.steps[ids.pop()]
            step.uses -= 1
            if step.uses == 0:
                self._planned.discard(step.node.id)
                if step.outputs is None:
                    self.done += 1
                    ids += [link.node_id for _, link in step.node.links]
                step.outputs, step.is_looked_up = None, False


def refuse_ring(id: str, stack: Sequence[str]) -> None:
    """Raise the error of a node that needs itself, which only an expansion can bring about while a graph runs."""
    ring = " -> ".join([*stack[-5:], id])
    raise GraphRejected(f"dependency_cycle: node {id} came to depend on itself while the graph ran: {ring}")
