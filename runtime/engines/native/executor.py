"""Runs a checked graph by demand from its output nodes, each node once, with no recursion.

Semantics are ComfyUI's: every value between nodes is a list of one or more; a node that does not take lists is called
once for each place of its longest input, shorter ones repeating their last; a lazy input is computed only when the node
asks for it, and is None until then; a node may return a graph that stands for it (`expand`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from runtime.engines.native.cache import NodeCache, Outputs
from runtime.engines.native.calls import Arguments, Returned, ask_lazy, call_node
from runtime.engines.native.expansion import Expansion, expand
from runtime.engines.native.keys import NodeKeys
from runtime.engines.native.plan import Plan, refuse_ring
from runtime.engines.native.step import Step
from runtime.errors import NodeFailed
from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Link, Node
from runtime.telemetry.traces import span

_T = TypeVar("_T")


class Host(Protocol):
    """What the executor asks of the engine about one job."""

    def node_type(self, class_type: str) -> NodeType: ...

    def hidden(self, node: Node, node_type: NodeType) -> Mapping[str, object]:
        """The values of the node's hidden inputs."""

    def starting(self, node: Node, done: int, total: int) -> None:
        """Called before a node runs; raises when the job shall end."""

    def guard(self, node: Node, call: Callable[[], _T]) -> _T:
        """Make the call, translating whatever it raises into the error tree."""

    def admit(self, node: Node, node_type: NodeType, values: Mapping[str, object]) -> None:
        """Called before each call of a node with its arguments; raises when it would go over the limits."""

    def produced(self, node: Node, returned: Returned) -> None:
        """Called with what a node returned; raises when it is over the deployment's limits."""


class Executor:
    """One job's walk. `outputs` are the ids of the output nodes to run, in order.

    A result is let go of when the last node that reads it has run. What must not happen twice stays: the results of
    output nodes, and of nodes that expanded.
    """

    def __init__(
        self, nodes: Mapping[str, Node], outputs: Sequence[str], *, host: Host, cache: NodeCache, keys: NodeKeys
    ) -> None:
        self._host = host
        self._cache = cache
        self._plan = Plan(nodes, host.node_type, keys)
        self._wanted = list(outputs)
        self._has_volatile = False
        self.cached_nodes: list[str] = []
        self.node_ms: dict[str, float] = {}

    def run(self) -> None:
        """Run every wanted output and what it needs."""
        self._plan.add(self._wanted)
        for output in self._wanted:  # grows when an expansion brings output nodes
            self._demand(output)

    def _demand(self, output: str) -> None:
        steps = self._plan.steps
        stack, waiting = [output], set[str]()
        while stack:
            id = stack[-1]
            step = steps[id]
            missing = self._advance(step) if step.outputs is None else ()
            if not missing:
                stack.pop()
                waiting.discard(id)
                continue
            waiting.add(id)
            for needed in missing:
                if needed in waiting:
                    refuse_ring(needed, stack)
            stack += missing

    def _advance(self, step: Step) -> Sequence[str]:
        """Bring a node as far as it goes: answer the nodes that it still waits for, or keep its outputs."""
        if step.expansion is not None:
            return self._finish_expansion(step, step.expansion)
        if not step.is_looked_up and self._take_cached(step):
            return ()
        step.is_looked_up = True
        arguments, missing = self._arguments(step)
        if not missing and step.node_type.is_lazy:
            missing = self._ask_lazy(step, arguments)
        return missing or self._execute(step, arguments)

    def _take_cached(self, step: Step) -> bool:
        if step.node_type.is_output:
            return False
        outputs = self._cache.get(step.key)
        if outputs is None:
            return False
        self.cached_nodes.append(step.node.id)
        self._plan.finish(step, outputs)
        return True

    def _arguments(self, step: Step) -> tuple[Arguments, list[str]]:
        """What the node can be given now, None for a lazy input that is not there, and the nodes that are missing."""
        arguments: Arguments = {}
        missing: list[str] = []
        steps, inputs = self._plan.steps, step.node_type.inputs
        for name, value in step.node.inputs.items():
            spec = inputs.get(name)
            if type(value) is not Link:
                if spec is not None:
                    arguments[name] = [value]
            elif spec is not None and spec.takes_link:
                arguments[name] = [list(value)]
            elif steps[value.node_id].outputs is not None:
                arguments[name] = self._plan.output(value)
            elif spec is not None and spec.is_lazy:
                arguments[name] = [None]
            else:
                missing.append(value.node_id)
        return arguments, missing

    def _ask_lazy(self, step: Step, arguments: Arguments) -> list[str]:
        node, node_type = step.node, step.node_type
        hidden = self._host.hidden(node, node_type)
        if step.instance is None:
            step.instance = self._host.guard(node, node_type.cls)
        wanted = self._host.guard(node, lambda: ask_lazy(node, node_type, step.instance, arguments, hidden))
        absent = sorted(wanted - node.inputs.keys() - hidden.keys())
        if absent:
            raise NodeFailed(
                f"{node.class_type} (node {node.id}) asks for the lazy input {absent[0]!r}, which it is not given",
                node_id=node.id,
            )
        return self._plan.missing(link.node_id for name, link in node.links if name in wanted)

    def _execute(self, step: Step, arguments: Arguments) -> Sequence[str]:
        node, node_type = step.node, step.node_type
        self._host.starting(node, self._plan.done, self._plan.total)
        hidden = self._host.hidden(node, node_type)
        started = time.perf_counter()
        admit = self._host.admit if node_type.is_bounded else None
        with span(f"node {node.class_type}", node_id=node.id):
            returned = self._host.guard(
                node, lambda: call_node(node, node_type, step.instance, arguments, hidden, admit)
            )
        self.node_ms[node.id] = self.node_ms.get(node.id, 0.0) + (time.perf_counter() - started) * 1000
        step.instance = None
        self._host.produced(node, returned)
        if returned.graphs:
            return self._begin_expansion(step, returned)
        self._store(step, returned.outputs)
        return ()

    def _store(self, step: Step, outputs: Outputs) -> None:
        if self._has_volatile:
            step.is_volatile |= any(self._plan.steps[link.node_id].is_volatile for _, link in step.node.links)
        if not step.node_type.is_output and not step.is_volatile:
            self._cache.put(step.key, outputs, step.node_type.return_types)
        self._plan.finish(step, outputs)

    def _begin_expansion(self, step: Step, returned: Returned) -> Sequence[str]:
        expansion = expand(step.node, returned, taken=self._plan.nodes)
        self._plan.nodes.update(expansion.nodes)
        outputs = [id for id, node in expansion.nodes.items() if self._host.node_type(node.class_type).is_output]
        self._plan.add([*expansion.needed, *outputs])
        self._wanted += outputs
        step.uses += 1  # for good: the same nodes cannot be added twice
        step.expansion = expansion
        if outputs:
            step.is_volatile = self._has_volatile = True
        return self._plan.missing(expansion.needed)

    def _finish_expansion(self, step: Step, expansion: Expansion) -> Sequence[str]:
        missing = self._plan.missing(expansion.needed)
        if missing:
            return missing
        outputs = expansion.resolve(self._plan.output, step.node_type)
        step.is_volatile |= any(self._plan.steps[id].is_volatile for id in expansion.needed)
        step.expansion = None
        self._store(step, outputs)
        self._plan.release(expansion.needed)
        return ()
