"""Runs a checked graph by demand from its output nodes, each node once, with no recursion.

Semantics are ComfyUI's: every value between nodes is a list of one or more; a node that does not take lists is called
once for each place of its longest input, shorter ones repeating their last; a lazy input is computed only when the node
asks for it; a node may return a graph that stands for it (`expand`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runtime.engines.native.cache import NodeCache, Outputs
from runtime.engines.native.calls import Arguments, Returned, ask_lazy, call_node
from runtime.engines.native.expansion import Expansion, expand
from runtime.engines.native.keys import NodeKeys
from runtime.errors import GraphRejected, NodeFailed
from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Link, Node


class Host(Protocol):
    """What the executor asks of the engine about one job."""

    def node_type(self, class_type: str) -> NodeType: ...

    def hidden(self, node: Node, node_type: NodeType) -> Mapping[str, Any]:
        """The values of the node's hidden inputs."""

    def starting(self, node: Node, done: int, total: int) -> None:
        """Called before a node runs; raises when the job shall end."""

    def guard(self, node: Node, call: Callable[[], Returned]) -> Returned:
        """Make the call, translating whatever it raises into the error tree."""

    def produced(self, node: Node, returned: Returned) -> None:
        """Called with what a node returned; raises when it is over the deployment's limits."""


class Executor:
    """One job's walk. `outputs` are the ids of the output nodes to run, in order."""

    def __init__(
        self, nodes: Mapping[str, Node], outputs: Sequence[str], *, host: Host, cache: NodeCache, keys: NodeKeys
    ) -> None:
        self._nodes = dict(nodes)
        self._host = host
        self._cache = cache
        self._keys = keys
        self._results: dict[str, Outputs] = {}
        self._uses: dict[str, int] = {}
        self._expansions: dict[str, Expansion] = {}
        self._wanted = list(outputs)
        self._total = 0
        self._done = 0
        self.cached_nodes: list[str] = []
        self.node_ms: dict[str, float] = {}

    def run(self) -> None:
        """Run every wanted output and what it needs."""
        self._plan(self._wanted)
        for output in self._wanted:  # grows when an expansion brings output nodes
            self._demand(output)

    def _plan(self, roots: Sequence[str]) -> None:
        """Make the key of every node above `roots` and count how often each is used."""
        stack = [id for id in roots if id not in self._keys]
        while stack:
            id = stack[-1]
            if id in self._keys:
                stack.pop()
                continue
            waiting = [link.node_id for _, link in self._nodes[id].links if link.node_id not in self._keys]
            if waiting:
                stack.extend(waiting)
                continue
            self._count(self._nodes[id])
            stack.pop()

    def _count(self, node: Node) -> None:
        self._keys.add(node, self._host.node_type(node.class_type))
        self._total += 1
        for _, link in node.links:
            self._uses[link.node_id] = self._uses.get(link.node_id, 0) + 1

    def _demand(self, output: str) -> None:
        stack, open_nodes = [output], set[str]()
        while stack:
            id = stack[-1]
            missing = () if id in self._results else self._advance(id)
            if not missing:
                stack.pop()
                open_nodes.discard(id)
                continue
            open_nodes.add(id)
            for needed in missing:
                if needed in open_nodes:
                    self._refuse_ring(needed, stack)
                stack.append(needed)

    def _refuse_ring(self, id: str, stack: Sequence[str]) -> None:
        ring = " -> ".join([*stack[-5:], id])
        raise GraphRejected(f"dependency_cycle: node {id} came to depend on itself while the graph ran: {ring}")

    def _advance(self, id: str) -> Sequence[str]:
        """Bring node `id` as far as it goes: answer the nodes that it still waits for, or store its result."""
        node = self._nodes[id]
        if id in self._expansions:
            return self._finish_expansion(node, self._expansions[id])
        node_type = self._host.node_type(node.class_type)
        if self._take_cached(node, node_type):
            return ()
        missing = [link.node_id for name, link in node.links if self._is_missing(name, link, node_type)]
        if missing:
            return missing
        arguments = self._arguments(node, node_type)
        if node_type.is_lazy:
            missing = self._lazily_missing(node, node_type, arguments)
            if missing:
                return missing
        return self._execute(node, node_type, arguments)

    def _is_missing(self, name: str, link: Link, node_type: NodeType) -> bool:
        if link.node_id in self._results:
            return False
        spec = node_type.inputs.get(name)
        return spec is None or not spec.is_lazy

    def _take_cached(self, node: Node, node_type: NodeType) -> bool:
        if node_type.is_output:
            return False
        outputs = self._cache.get(self._keys[node.id])
        if outputs is None:
            return False
        self.cached_nodes.append(node.id)
        self._keep(node, outputs)
        return True

    def _arguments(self, node: Node, node_type: NodeType) -> Arguments:
        arguments: Arguments = {}
        for name, value in node.inputs.items():
            spec = node_type.inputs.get(name)
            if type(value) is not Link:
                if spec is not None:
                    arguments[name] = [value]
            elif spec is not None and spec.options.get("rawLink"):
                arguments[name] = [list(value)]
            elif value.node_id in self._results:
                arguments[name] = self._output(value)
        return arguments

    def _output(self, link: Link) -> list[Any]:
        outputs = self._results[link.node_id]
        if link.output >= len(outputs):
            message = f"node {link.node_id} returned {len(outputs)} values, but its output {link.output} is linked"
            raise NodeFailed(message, node_id=link.node_id)
        return outputs[link.output]

    def _lazily_missing(self, node: Node, node_type: NodeType, arguments: Arguments) -> list[str]:
        hidden = self._host.hidden(node, node_type)
        wanted = ask_lazy(node, node_type, arguments, hidden)
        links = [node.inputs[name] for name in wanted if name not in arguments and name in node.inputs]
        return [link.node_id for link in links if type(link) is Link and link.node_id not in self._results]

    def _execute(self, node: Node, node_type: NodeType, arguments: Arguments) -> Sequence[str]:
        self._host.starting(node, self._done, self._total)
        hidden = self._host.hidden(node, node_type)
        started = time.perf_counter()
        returned = self._host.guard(node, lambda: call_node(node, node_type, arguments, hidden))
        self.node_ms[node.id] = self.node_ms.get(node.id, 0.0) + (time.perf_counter() - started) * 1000
        if returned.graphs:
            return self._begin_expansion(node, returned)
        self._host.produced(node, returned)
        self._store(node, node_type, returned.outputs)
        return ()

    def _store(self, node: Node, node_type: NodeType, outputs: Outputs) -> None:
        if not node_type.is_output:
            self._cache.put(self._keys[node.id], outputs, node_type.return_types)
        self._keep(node, outputs)

    def _keep(self, node: Node, outputs: Outputs) -> None:
        self._done += 1
        self._results[node.id] = outputs
        for _, link in node.links:
            self._release(link.node_id)

    def _release(self, id: str) -> None:
        """Let go of a result that no node known so far will read; one that an expansion asks for later runs again."""
        self._uses[id] -= 1
        if self._uses[id] == 0:
            self._results.pop(id, None)

    def _begin_expansion(self, node: Node, returned: Returned) -> Sequence[str]:
        expansion = expand(node, returned, taken=self._nodes)
        self._nodes.update(expansion.nodes)
        self._expansions[node.id] = expansion
        roots = [*expansion.needed, *self._output_nodes(expansion)]
        self._plan(roots)
        for id in expansion.needed:
            self._uses[id] = self._uses.get(id, 0) + 1
        self._wanted.extend(self._output_nodes(expansion))
        return [id for id in expansion.needed if id not in self._results]

    def _output_nodes(self, expansion: Expansion) -> list[str]:
        return [id for id, node in expansion.nodes.items() if self._host.node_type(node.class_type).is_output]

    def _finish_expansion(self, node: Node, expansion: Expansion) -> Sequence[str]:
        missing = [id for id in expansion.needed if id not in self._results]
        if missing:
            return missing
        node_type = self._host.node_type(node.class_type)
        outputs = expansion.resolve(self._output, node_type)
        del self._expansions[node.id]
        self._store(node, node_type, outputs)
        for id in expansion.needed:
            self._release(id)
        return ()
