"""A node's cache key: what the node is and what feeds it, as one hash over the hashes above it.

Each key is made once from its parents' keys, so the keys of a graph cost time linear in its links.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from runtime.graph.node_type import NodeType, is_file_combo
from runtime.graph.workflow import Link, Node

_SIZE = 20


class NodeKeys:
    """The keys of one job's nodes. `tenant` is in every key, so results of two tenants never meet.

    `fingerprint(node, node_type)` is the answer of the class's IS_CHANGED; `file_identity(spec, name)` stands for the
    content of a file that an input names.
    """

    def __init__(
        self,
        tenant: str,
        fingerprint: Callable[[Node, NodeType], Any],
        file_identity: Callable[[Any, str], str],
    ) -> None:
        self._tenant = tenant.encode()
        self._fingerprint = fingerprint
        self._file_identity = file_identity
        self._keys: dict[str, bytes] = {}

    def __getitem__(self, node_id: str) -> bytes:
        return self._keys[node_id]

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._keys

    def add(self, node: Node, node_type: NodeType) -> bytes:
        """Make and keep the node's key; the keys of the nodes that feed it are there already."""
        digest = blake2b(self._tenant, digest_size=_SIZE)
        digest.update(f"\0{node.class_type}\0{id(node_type.cls)}".encode())
        if node_type.keeps_identity:
            digest.update(b"\0" + _text(node.id))
        for name, value in sorted(node.inputs.items()):
            digest.update(self._input(name, value, node_type))
        if node_type.has_is_changed:
            digest.update(_canonical(self._fingerprint(node, node_type)))
        key = self._keys[node.id] = digest.digest()
        return key

    def _input(self, name: str, value: Any, node_type: NodeType) -> bytes:
        if type(value) is Link:
            return b"\1%s\0%s%d" % (_text(name), self._keys[value.node_id], value.output)
        spec = node_type.inputs.get(name)
        if spec is not None and isinstance(value, str) and is_file_combo(spec):
            return b"\2%s\0%s\0%s" % (_text(name), _text(value), _text(self._file_identity(spec.type, value)))
        return b"\3%s\0%s" % (_text(name), _canonical(value))


def _text(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _canonical(value: Any) -> bytes:
    """Bytes that two values share only if they are equal; NaN and foreign objects equal nothing, also themselves."""
    if isinstance(value, bool | int | str | bytes | None):
        return f"{type(value).__name__}:{value!r}".encode()
    if isinstance(value, float):
        return os.urandom(_SIZE) if value != value else f"float:{value!r}".encode()
    if isinstance(value, Mapping):
        parts = [_canonical(key) + b"=" + _canonical(item) for key, item in sorted(value.items(), key=repr)]
        return b"{%s}" % b",".join(parts)
    if isinstance(value, list | tuple):
        return b"[%s]" % b",".join(map(_canonical, value))
    return os.urandom(_SIZE)
