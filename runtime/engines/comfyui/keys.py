"""Cache keys for ComfyUI's executor that are made bottom up, each once, from the keys of what feeds a node.

ComfyUI spells a node's key as everything above it, so the keys of a chain cost the square of its length. These hash
what ComfyUI says of a single node (class, values, IS_CHANGED) together with its parents' hashes, and add what ComfyUI
leaves out: whose the node is, and what is in the input and model files that it names.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from hashlib import blake2b
from typing import Any, Protocol

from runtime.engines.native.keys import canonical
from runtime.models.model_names import embedding_files

_SIZE = 20


class Scope(Protocol):
    """The job that keys are made for."""

    tenant: str

    def file_identity(self, value: str) -> str | None:
        """What stands for the content of the input or model file that `value` names; None where it names none."""

    def is_volatile(self, node_class: Any) -> bool:
        """Whether results of the class belong to this job alone, as those of output nodes do."""


class KeyMaker:
    """The keys of one job's nodes, whichever of the executor's caches asks first."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._nonce = os.urandom(_SIZE)
        self._keys: dict[str, bytes] = {}

    async def key(self, node_id: str, dynprompt: Any, node_classes: Mapping[str, Any], signature: _Signature) -> bytes:
        """The key under which the node's own results are kept.

        Two output nodes that are the same but for their ids have keys of their own: each makes its own outputs.
        """
        await self._make(node_id, dynprompt, node_classes, signature)
        key = self._keys.get(node_id) or os.urandom(_SIZE)
        if not dynprompt.has_node(node_id):
            return key
        node_class = node_classes[dynprompt.get_node(node_id)["class_type"]]
        own = node_id.encode("utf-8", "surrogatepass") + self._nonce
        return key + own if self._scope.is_volatile(node_class) else key

    def is_volatile(self, key: object) -> bool:
        """Whether the key is of a result that belongs to this job alone."""
        return isinstance(key, bytes) and key.endswith(self._nonce)

    def __getitem__(self, node_id: str) -> bytes:
        """The key of a parent; one that is not known yet equals nothing."""
        return self._keys.get(node_id) or os.urandom(_SIZE)

    async def _make(self, node_id: str, dynprompt: Any, classes: Mapping[str, Any], signature: _Signature) -> None:
        stack, path = [node_id], set[str]()
        while stack:
            id = stack[-1]
            if id in self._keys or not dynprompt.has_node(id):
                stack.pop()
                continue
            node = dynprompt.get_node(id)
            parents = [parent for parent in _parents(node) if parent not in self._keys and parent not in path]
            path.add(id)
            unmade = [parent for parent in parents if dynprompt.has_node(parent)]
            if unmade:
                stack += unmade
                continue
            self._keys[stack.pop()] = self._hash(node, classes, await _settled(signature(dynprompt, id, self)))

    def _hash(self, node: Mapping[str, Any], classes: Mapping[str, Any], signature: object) -> bytes:
        texts = [value for value in node["inputs"].values() if isinstance(value, str)]
        named = [*texts, *(file for text in texts for file in embedding_files(text))]
        files = [identity for identity in map(self._scope.file_identity, named) if identity is not None]
        facts = (self._scope.tenant, id(classes[node["class_type"]]), canonical(signature), files)
        return blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=_SIZE).digest()


_Signature = Callable[[Any, str, KeyMaker], object]


def bottom_up(base: Any, maker_of: Callable[[], KeyMaker], node_classes: Mapping[str, Any]) -> type:
    """ComfyUI's key set `base` with keys that are made here; its methods are asynchronous where `base` has them so."""

    def make(self: Any, dynprompt: Any, node_id: str) -> Coroutine[Any, Any, bytes]:
        return maker_of().key(node_id, dynprompt, node_classes, self.get_immediate_node_signature)

    async def later(self: Any, dynprompt: Any, node_id: str) -> bytes:
        return await make(self, dynprompt, node_id)

    def at_once(self: Any, dynprompt: Any, node_id: str) -> bytes:
        return _run_now(make(self, dynprompt, node_id))

    method = later if inspect.iscoroutinefunction(base.get_node_signature) else at_once
    return type("BottomUpKeys", (base,), {"get_node_signature": method})


def _parents(node: Mapping[str, Any]) -> list[str]:
    return [value[0] for value in node["inputs"].values() if is_link(value)]


def is_link(value: object) -> bool:
    """Whether ComfyUI takes the value of an input for a link."""
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float)
    )


async def _settled(answer: object) -> object:
    return await answer if isinstance(answer, Awaitable) else answer


def _run_now(coroutine: Coroutine[Any, Any, bytes]) -> bytes:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: bytes = stop.value
        return result
    raise RuntimeError("a checkout with synchronous cache keys answered something to wait for")
