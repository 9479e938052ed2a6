"""How many nodes a workflow may come to while it is taken apart."""

from __future__ import annotations

from runtime.errors import GraphRejected


class NodeLimit:
    """Counts nodes up to `most`: a small file can stand for very many, by subgraphs and group nodes in each other."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    def add(self) -> None:
        """Count one. Raises GraphRejected where it is one too many."""
        self._count += 1
        if self._count > self._most:
            raise GraphRejected(
                f"the workflow has more than {self._most} nodes once its subgraphs are flattened; "
                f"this deployment takes {self._most} (MAX_NODES)"
            )
