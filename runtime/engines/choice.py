"""Which engine runs a graph."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from runtime.engines.protocol import Engine, EngineFactory
from runtime.errors import GraphRejected, InvalidRequest
from runtime.graph.workflow import Graph

_MOST_NAMED = 5


class Engines:
    """The engines of this deployment, each built when a graph first needs it."""

    def __init__(self, factories: Mapping[str, EngineFactory], *, default: str) -> None:
        self._factories = factories
        self._default = default
        self._built: dict[str, Engine] = {}

    def choose(self, graph: Graph, wish: str | None) -> Engine:
        """The engine that the request, else the deployment, asks for.

        `auto` is native where it can run the whole graph: it has every node, and the family of every model that a node
        names. Else it is comfyui where the deployment has it. Without it, raises GraphRejected for a model of another
        family; for another node class the answer is native, whose check names every one with its place.
        """
        name = wish or self._default
        return self._choose(graph) if name == "auto" else self.get(name)

    def choose_for(self, class_types: Set[str], wish: str | None) -> Engine:
        """The engine for a graph of nodes of these types, whatever models it names."""
        name = wish or self._default
        if name == "auto":
            name = "native" if self._native_has_all(class_types) or "comfyui" not in self._factories else "comfyui"
        return self.get(name)

    def _choose(self, graph: Graph) -> Engine:
        native = self.get("native")
        lacks = native.lacks(graph)
        if not lacks:
            return native
        if "comfyui" in self._factories:
            return self.get("comfyui")
        if any(not native.knows(node.class_type) for node in graph.nodes.values()):
            return native
        raise GraphRejected(
            f"the native engine lacks {'; '.join(lacks[:_MOST_NAMED])}, and this deployment has no ComfyUI beside it "
            "(COMFYUI_PATH)"
        )

    def get(self, name: str) -> Engine:
        """The engine of that name. Raises InvalidRequest for one that this deployment does not have."""
        if name not in self._factories:
            raise InvalidRequest(
                f"engine is {name!r}; this deployment has {', '.join(self._factories)}"
                + (", and no ComfyUI beside it" if name == "comfyui" else "")
            )
        if name not in self._built:
            self._built[name] = self._factories[name]()
        return self._built[name]

    def prepare(self) -> None:
        """Build every engine that this deployment has, as far as a memory snapshot may hold it."""
        for name in self._factories:
            self.get(name).prepare()

    def attach(self) -> None:
        """Give the engines of a snapshot their device."""
        for engine in self._built.values():
            engine.attach()

    def free(self) -> None:
        """Give back the memory that no job uses."""
        for engine in self._built.values():
            engine.free()

    @property
    def offered(self) -> tuple[str, ...]:
        """The engines that graphs run by which wish for none, the first before the others."""
        return tuple(self._factories) if self._default == "auto" else (self._default,)

    @property
    def built(self) -> Mapping[str, Engine]:
        """Those that a graph needed already, by name."""
        return dict(self._built)

    def object_info(self) -> Mapping[str, Any]:
        """The node types that graphs may be made of: those of every engine that the deployment may run them by."""
        types: dict[str, Any] = {}
        for name in reversed(self.offered):
            types.update(self.get(name).object_info())
        return types

    def close(self) -> None:
        """End every engine that was built."""
        for engine in self._built.values():
            engine.close()

    def health(self) -> Mapping[str, Any]:
        """What each engine that is built says of itself."""
        return {name: engine.health() for name, engine in self._built.items()}

    def _native_has_all(self, class_types: Set[str]) -> bool:
        native = self.get("native")
        return all(map(native.knows, class_types))
