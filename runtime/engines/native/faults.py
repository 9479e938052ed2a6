"""What a node raises, as an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runtime.errors import NodeFailed, OutOfMemory, ServerlessError
from runtime.graph.workflow import Node

_T = TypeVar("_T")


def translated(node: Node, call: Callable[[], _T]) -> _T:
    """Make the call; whatever it raises leaves as an error of ours that names the node."""
    try:
        return call()
    except ServerlessError as exc:
        exc.node_id = exc.node_id or node.id
        raise
    except Exception as exc:
        where = f"{node.class_type} (node {node.id})"
        if _is_out_of_memory(exc):
            raise OutOfMemory(f"{where} needs more memory than there is: {_one_line(exc)}", node_id=node.id) from exc
        raise NodeFailed(f"{where}: {_one_line(exc)}", node_id=node.id) from exc


def _is_out_of_memory(exc: Exception) -> bool:
    if isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError":
        return True
    return isinstance(exc, RuntimeError) and "allocate memory" in str(exc)


def _one_line(exc: Exception) -> str:
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text[:500]
