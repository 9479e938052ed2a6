"""Values of a request laid over its workflow: by node id, by title, by class_type, or by the input's name alone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.errors import InvalidRequest

SEED_INPUTS = ("seed", "noise_seed")


def apply_overrides(workflow: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """The workflow (API format) with `overrides` in place; the one given is left as it is.

    A key is `NODE.input`, where NODE is a node's id, else its title, else its class_type where only one node has it;
    or an input's name alone where only one node has it. `seed` alone sets every seed of the workflow.
    Raises InvalidRequest naming the key, and the near names, where it fits nothing or more than one node.
    """
    if not overrides:
        return workflow
    changed = {id: {**node, "inputs": dict(node["inputs"])} for id, node in workflow.items() if _has_inputs(node)}
    for key, value in overrides.items():
        for id, name in _targets(changed, key):
            changed[id]["inputs"][name] = {"__value__": value} if isinstance(value, list) else value
    return {id: changed.get(id, node) for id, node in workflow.items()}


def seeds_of(workflow: Mapping[str, Any]) -> dict[str, int]:
    """The seed of every node that has one, by node id."""
    return {
        id: node["inputs"][name]
        for id, node in workflow.items()
        if _has_inputs(node)
        for name in SEED_INPUTS
        if type(node["inputs"].get(name)) is int
    }


def _has_inputs(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)


def _targets(nodes: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    name, _, wanted = key[::-1].partition(".")
    name, wanted = name[::-1], wanted[::-1]
    if not wanted:
        return _by_input(nodes, key)
    id = _find_node(nodes, wanted, key)
    if name not in nodes[id]["inputs"]:
        hint = _near(name, nodes[id]["inputs"])
        label = f"{_class_type(nodes[id])} (node {id})"
        raise InvalidRequest(f"overrides: {key!r}: {label} has no input {name!r}{hint}")
    return [(id, name)]


def _find_node(nodes: Mapping[str, Any], wanted: str, key: str) -> str:
    if wanted in nodes:
        return wanted
    for named in (_title, _class_type):
        found = [id for id, node in nodes.items() if named(node) == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidRequest(f"overrides: {key!r}: {wanted!r} is nodes {', '.join(found)}; name one by its id")
    names = [*nodes, *filter(None, map(_title, nodes.values())), *map(_class_type, nodes.values())]
    hint = _near(wanted, names)
    raise InvalidRequest(f"overrides: {key!r}: no node has the id, title or class_type {wanted!r}{hint}")


def _by_input(nodes: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    names = SEED_INPUTS if name == "seed" else (name,)
    found = [(id, each) for id, node in nodes.items() for each in names if _is_constant(node["inputs"].get(each))]
    if len(found) == 1 or (found and name == "seed"):
        return found
    if found:
        ids = ", ".join(id for id, _ in found)
        raise InvalidRequest(f"overrides: {name!r} is an input of nodes {ids}; write NODE.{name}")
    hint = _near(name, {each for node in nodes.values() for each in node["inputs"]})
    raise InvalidRequest(f"overrides: no node has an input {name!r}{hint}")


def _is_constant(value: object) -> bool:
    return value is not None and not isinstance(value, list)


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title") or "") if isinstance(meta, Mapping) else ""


def _class_type(node: Mapping[str, Any]) -> str:
    return str(node.get("class_type"))


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(dict.fromkeys(names)), n=3, cutoff=0.5)
    return f"; nearest: {', '.join(near)}" if near else ""
