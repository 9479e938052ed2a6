"""The order in which the nodes of a graph feed one another, and the links that lead nowhere or round in a ring."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from runtime.graph.problems import Problem
from runtime.graph.workflow import Graph, Link

_LONGEST_RING_SHOWN = 10

LinkProblems = dict[str, list[Problem]]


def walk(graph: Graph, roots: Sequence[str]) -> tuple[list[str], LinkProblems]:
    """The nodes that `roots` need, each after what feeds it, and the problems of their links by node id.

    Time grows linearly with the links; there is no recursion.
    """
    order: list[str] = []
    problems: LinkProblems = {}
    done: set[str] = set()
    path: dict[str, None] = {}  # the nodes between a root and where the walk stands; a dictionary keeps their order
    stack = list(reversed(roots))
    while stack:
        id = stack[-1]
        if id in done:
            stack.pop()
        elif id in path:
            stack.pop()
            del path[id]
            done.add(id)
            order.append(id)
        else:
            path[id] = None
            found = _wrong_links(graph, id, path)
            if found:
                problems[id] = found
            stack += [link.node_id for _, link in graph.nodes[id].links if _leads_on(link, graph, path, done)]
    return order, problems


def _leads_on(link: Link, graph: Graph, path: dict[str, None], done: set[str]) -> bool:
    return link.node_id not in done and link.node_id not in path and link.node_id in graph.nodes


def _wrong_links(graph: Graph, id: str, path: dict[str, None]) -> list[Problem]:
    found = []
    for name, link in graph.nodes[id].links:
        if link.node_id in path:
            found.append(_ring(name, link, path))
        elif link.node_id not in graph.nodes:
            found.append(_dangling(name, link))
    return found


def _dangling(name: str, link: Link) -> Problem:
    return Problem(
        type="bad_linked_input",
        message="the link leads to a node that the workflow does not have",
        details=f"{name}: node {link.node_id!r}",
        extra_info={"input_name": name, "received_value": list(link)},
    )


def _ring(name: str, link: Link, path: dict[str, None]) -> Problem:
    return Problem(
        type="dependency_cycle",
        message="the node depends on itself",
        details=f"{name}: {' -> '.join(_shown_ring(link.node_id, path))}",
        extra_info={"input_name": name, "received_value": list(link)},
    )


def _shown_ring(id: str, path: dict[str, None]) -> list[str]:
    last = list(islice(reversed(path), _LONGEST_RING_SHOWN))
    if id in last:
        return [*reversed(last[: last.index(id) + 1]), id]
    return [id, "...", *reversed(last), id]
