"""Where one node of a job stands while its graph runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.engines.native.cache import Outputs
from runtime.engines.native.expansion import Expansion
from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Node


@dataclass(kw_only=True, slots=True)
class Step:
    """One node, with its key in the cache and its outputs once they are there."""

    node: Node
    node_type: NodeType
    key: bytes
    uses: int = 0
    """How many links, of nodes that have not run yet, read the outputs."""
    outputs: Outputs | None = None
    instance: Any = None
    """The node class's own object, from its first question about lazy inputs to its call."""
    expansion: Expansion | None = None
    is_looked_up: bool = False
    is_volatile: bool = False
    """What is above it brought output nodes by expansion: from the cache, those would not run."""
