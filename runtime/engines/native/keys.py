"""A node's cache key: what the node is and what feeds it, as one hash over the hashes above it.

Each key is made once from its parents' keys, so the keys of a graph cost time linear in its links.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Link, Node
from runtime.models.model_names import embedding_files
from runtime.nodes.protocol import ModelFiles

EMBEDDINGS = ModelFiles("embeddings")

_SIZE = 20
_LARGEST_SPELLED = 2**63


class NodeKeys:
    """The keys of one job's nodes. `tenant` is in every key, so results of two tenants never meet.

    `fingerprint(node, node_type)` is the answer of the class's IS_CHANGED; `file_identity(type, name)` stands for the
    content of a file that an input names; for EMBEDDINGS, of one that a prompt may name, "" where it is not there.
    """

    def __init__(
        self,
        tenant: str,
        fingerprint: Callable[[Node, NodeType], Any],
        file_identity: Callable[[Any, str], str],
    ) -> None:
        self._tenant = tenant
        self._fingerprint = fingerprint
        self._file_identity = file_identity
        self._keys: dict[str, bytes] = {}

    def add(self, node: Node, node_type: NodeType) -> bytes:
        """Make and keep the node's key; the keys of the nodes that feed it are there already."""
        facts = (
            self._tenant,
            node.class_type,
            id(node_type.cls),
            node.id if node_type.keeps_identity else None,
            [self._input(name, value, node_type) for name, value in sorted(node.inputs.items())],
            canonical(self._fingerprint(node, node_type)) if node_type.has_is_changed else None,
        )
        # repr spells values of different types differently, and quotes what a text holds: no two facts share a spelling
        key = self._keys[node.id] = blake2b(repr(facts).encode(), digest_size=_SIZE).digest()
        return key

    def _input(self, name: str, value: Any, node_type: NodeType) -> tuple[Any, ...]:
        if type(value) is Link:
            return name, "link", self._keys[value.node_id], value.output
        spec = node_type.inputs.get(name)
        if spec is not None and spec.is_file and isinstance(value, str):
            return name, "file", value, self._file_identity(spec.type, value)
        if isinstance(value, str) and (files := list(embedding_files(value))):
            return name, "prompt", canonical(value), [self._file_identity(EMBEDDINGS, file) for file in files]
        return name, "value", canonical(value)


def canonical(value: Any) -> Any:
    """Facts that two values share only if they are equal; NaN and foreign objects equal nothing, also themselves."""
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if abs(value) < _LARGEST_SPELLED else ("integer", hex(value))
    if isinstance(value, float):
        return float(value) if value == value else os.urandom(_SIZE)
    if isinstance(value, Mapping):
        return "mapping", sorted([(repr(canonical(key)), canonical(item)) for key, item in value.items()], key=_first)
    if isinstance(value, list | tuple):
        return "list", [canonical(item) for item in value]
    return os.urandom(_SIZE)


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]
