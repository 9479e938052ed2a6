"""The names and shapes of a file's tensors, asked for as the tree that their dots draw."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping

from runtime.errors import ModelCorrupt

Shapes = Mapping[str, tuple[int, ...]]


class ShapeTree:
    """The tensors under `prefix`, by their names behind it."""

    def __init__(self, shapes: Shapes, *, prefix: str = "") -> None:
        self.prefix = prefix
        self._shapes = {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        for name in self._shapes:
            path = ""
            for part in name.split("."):
                self._children[path].add(part)
                path = f"{path}.{part}" if path else part

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def count(self, path: str) -> int:
        """How many children `path.0`, `path.1`, ... there are without a gap."""
        children = self._children.get(path, set())
        return next(index for index in itertools.count() if str(index) not in children)

    def dimensions(self, name: str) -> int:
        """How many axes the tensor `name` has."""
        return len(self._shape(name))

    def weight(self, name: str) -> tuple[int, int]:
        """(channels in, channels out) of a convolution or a linear layer: its axes 1 and 0.

        Raises ModelCorrupt where there is no such tensor, or none of at least two axes that are not empty.
        """
        shape = self._shape(name)
        if len(shape) < 2 or 0 in shape:
            raise ModelCorrupt(f"the tensor {self.prefix}{name} has the shape {list(shape)}, expected a layer's weight")
        return shape[1], shape[0]

    def _shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            raise ModelCorrupt(f"there is no tensor {self.prefix}{name}")
        return self._shapes[name]
