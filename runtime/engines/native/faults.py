"""What a node raises, as an error of ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from runtime.errors import DeviceLost, NodeFailed, OutOfMemory, ServerlessError
from runtime.graph.workflow import Node

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# Of a CUDA call, or of a library's on it, that found no memory.
_NO_MEMORY = ("allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")

# CUDA errors after which every call of the process fails (CUDA Runtime API, cudaError_t: "the process must be
# terminated and relaunched"), by what cudaGetErrorString calls them.
_FATAL = (
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "device-side assert triggered",
    "hardware stack error",
    "invalid program counter",
    "misaligned address",
    "operation not supported on global/shared address space",
    "the launch timed out and was terminated",
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error detected",
    "unspecified launch failure",
)


def translated(node: Node, call: Callable[[], _T]) -> _T:
    """Make the call; whatever it raises leaves as an error of ours that names the node."""
    try:
        return call()
    except ServerlessError as exc:
        exc.node_id = exc.node_id or node.id
        raise
    except (Exception, SystemExit) as exc:  # a node that calls sys.exit() ends its job, and not the worker
        raise fault(exc, node_id=node.id, class_type=node.class_type) from exc


def fault(exc: Exception | SystemExit, *, node_id: str, class_type: str) -> ServerlessError:
    """The error of ours that `exc`, raised by a node, means; the traceback of one that is the node's own is logged."""
    where = f"{class_type} (node {node_id})"
    if _is_out_of_memory(exc):
        return OutOfMemory(f"{where} needs more memory than there is: {_one_line(exc)}", node_id=node_id)
    if _is_fatal_to_the_device(exc):
        return DeviceLost(f"{where} lost the GPU: {_one_line(exc)}", node_id=node_id)
    _log.warning("%s failed", where, exc_info=exc)
    return NodeFailed(f"{where}: {type(exc).__name__}: {_one_line(exc)}", node_id=node_id)


def _is_out_of_memory(exc: Exception | SystemExit) -> bool:
    if isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError":
        return True
    return isinstance(exc, RuntimeError) and any(sign in str(exc) for sign in _NO_MEMORY)


def _is_fatal_to_the_device(exc: Exception | SystemExit) -> bool:
    return isinstance(exc, RuntimeError) and "CUDA error" in str(exc) and any(sign in str(exc) for sign in _FATAL)


def _one_line(exc: Exception | SystemExit) -> str:
    return " ".join(str(exc).split())[:500]
