"""Small workflows in the editor's format, one for each thing that conversion has to get right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
MUTED, BYPASSED = 2, 4
_INPUTS, _OUTPUTS = -10, -20


class Sketch:
    """A graph in the making; `as_objects` writes its links as schema 1 and subgraphs do."""

    def __init__(self, *, as_objects: bool = False) -> None:
        self.nodes: list[Json] = []
        self._links: list[tuple[int, int, int, int, int, str]] = []
        self._as_objects = as_objects

    def node(
        self,
        node_type: str,
        values: Any = None,
        *,
        inputs: Sequence[tuple[str, str] | tuple[str, str, str]] = (),
        outputs: Sequence[str] = (),
        **fields: Any,
    ) -> Json:
        """Add a node; an input is its name and type, and its widget where it once was one."""
        id = fields.pop("id", len(self.nodes) + 1)
        node = {
            "id": id,
            "type": node_type,
            "pos": [0, 0],
            "size": [200, 100],
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": [_input(*each) for each in inputs],
            "outputs": [{"name": kind, "type": kind, "links": []} for kind in outputs],
            "properties": {},
            **fields,
        }
        if values is not None:
            node["widgets_values"] = values
        self.nodes.append(node)
        return node

    def link(self, origin: Json | None, slot: int, target: Json | None, name: str | int, kind: str = "*") -> int:
        """Link an output to an input; None is the subgraph's own side, where `slot` or `name` is its number."""
        id = len(self._links) + 1
        names: list[str] = [each["name"] for each in target["inputs"]] if target else []
        at = name if isinstance(name, int) else names.index(name)
        if target is not None:
            target["inputs"][at]["link"] = id
            kind = target["inputs"][at]["type"] if kind == "*" else kind
        if origin is not None:
            origin["outputs"][slot]["links"].append(id)
        ends = (origin["id"] if origin else _INPUTS, slot, target["id"] if target else _OUTPUTS, at)
        self._links.append((id, *ends, kind))
        return id

    def saved(self, **fields: Any) -> Json:
        """The workflow as the editor saves it."""
        common = {"nodes": self.nodes, "links": self.links(), "groups": [], "extra": {}, "config": {}}
        ids = {"last_node_id": 99, "last_link_id": 99}
        if self._as_objects:
            state = {"lastNodeId": 99, "lastLinkId": 99, "lastGroupId": 0, "lastRerouteId": 0}
            return {**common, "version": 1, "state": state, **fields}
        return {**common, **ids, "version": 0.4, **fields}

    def links(self) -> list[Any]:
        if not self._as_objects:
            return [list(link) for link in self._links]
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return [dict(zip(names, link, strict=True)) for link in self._links]


class Inside(Sketch):
    """A subgraph in the making, with inputs and outputs of its own."""

    def __init__(
        self, id: str, name: str, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]
    ) -> None:
        super().__init__(as_objects=True)
        self.id, self._name = id, name
        self._inputs = [_io(name, kind) for name, kind in inputs]
        self._outputs = [_io(name, kind) for name, kind in outputs]

    def link(self, origin: Json | None, slot: int, target: Json | None, name: str | int, kind: str = "*") -> int:
        id = super().link(origin, slot, target, name, kind)
        if origin is None:
            self._inputs[slot]["linkIds"].append(id)
        if target is None:
            self._outputs[int(name)]["linkIds"].append(id)
        return id

    def definition(self) -> Json:
        box = {"bounding": [0, 0, 100, 100]}
        return {
            "id": self.id,
            "version": 1,
            "state": {"lastGroupId": 0, "lastNodeId": 99, "lastLinkId": 99, "lastRerouteId": 0},
            "revision": 0,
            "config": {},
            "name": self._name,
            "inputNode": {"id": _INPUTS, **box},
            "outputNode": {"id": _OUTPUTS, **box},
            "inputs": self._inputs,
            "outputs": self._outputs,
            "widgets": [],
            "nodes": self.nodes,
            "groups": [],
            "links": self.links(),
            "extra": {},
        }


def _input(name: str, kind: str, widget: str | None = None) -> Json:
    slot: Json = {"name": name, "type": kind, "link": None}
    return {**slot, "widget": {"name": widget}} if widget else slot


def _io(name: str, kind: str) -> Json:
    return {
        "id": f"00000000-0000-4000-8000-{int.from_bytes(name.encode(), 'big') % 10**12:012d}",
        "name": name,
        "type": kind,
        "linkIds": [],
    }


IMAGE = (("images", "IMAGE"),)
PICTURE = ("IMAGE",)
_SAMPLER_INPUTS = (
    ("model", "MODEL"),
    ("positive", "CONDITIONING"),
    ("negative", "CONDITIONING"),
    ("latent_image", "LATENT"),
)


def empty_image(sketch: Sketch, *values: Any, **fields: Any) -> Json:
    return sketch.node("EmptyImage", list(values or (64, 64, 1, 0)), outputs=PICTURE, **fields)


def save(sketch: Sketch, prefix: str = "ComfyUI", **fields: Any) -> Json:
    return sketch.node("SaveImage", [prefix], inputs=IMAGE, **fields)


def invert(sketch: Sketch, **fields: Any) -> Json:
    return sketch.node("ImageInvert", inputs=(("image", "IMAGE"),), outputs=PICTURE, **fields)


def sampler(sketch: Sketch, values: Sequence[Any], **fields: Any) -> Json:
    extra = fields.pop("converted", ())
    return sketch.node("KSampler", list(values), inputs=(*_SAMPLER_INPUTS, *extra), outputs=("LATENT",), **fields)


def all_cases() -> Iterator[tuple[str, Json]]:
    """Name and workflow of every case."""
    from scripts.ui_reference import group_cases, node_cases, subgraph_cases

    for module in (node_cases, subgraph_cases, group_cases):
        for name, make in vars(module).items():
            if getattr(make, "__module__", None) == module.__name__ and not name.startswith("_"):
                yield name, make()
