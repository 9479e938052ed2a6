"""Values of a request laid over its workflow: by node id, by title, by class_type, or by the input's name alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from runtime.errors import InvalidRequest
from runtime.near_names import near_names

SEED_INPUTS = ("seed", "noise_seed")
_MOST_NAMED = 10
_LONGEST_KEY = 1_000
_MOST_SPLITS = 32
_SEEDS = range(-(2**63), 2**64)


def apply_overrides(workflow: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """The workflow (API format) with `overrides` in place; the one given is left as it is.

    A key is `NODE.input`, where NODE is a node's id, else its title, else its class_type where only one node has it;
    or an input's name alone where only one node has it as a value. `seed` alone sets every seed of the workflow.
    Raises InvalidRequest naming the key, and the near names, where it fits nothing or more than one node, and for a key
    of more than 1,000 characters.
    """
    if not overrides:
        return workflow
    changed = {id: {**node, "inputs": dict(node["inputs"])} for id, node in workflow.items() if _has_inputs(node)}
    targets = _Targets(changed)
    for key, value in overrides.items():
        for id, name in targets.of(key):
            changed[id]["inputs"][name] = {"__value__": value} if isinstance(value, list) else value
    return {id: changed.get(id, node) for id, node in workflow.items()}


def seeds_of(workflow: Mapping[str, Any]) -> dict[str, int]:
    """The seed of every node that has one, by node id; a number that cannot be a seed is none."""
    return {
        id: seed
        for id, node in workflow.items()
        if _has_inputs(node)
        for name in SEED_INPUTS
        if type(seed := node["inputs"].get(name)) is int and seed in _SEEDS
    }


def _has_inputs(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)


class _Targets:
    """What the keys of overrides name among `nodes`, which are listed once for all keys."""

    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._by_title = _grouped(nodes, _title)
        self._by_class = _grouped(nodes, _class_type)
        self._by_input: dict[str, list[str]] = {}
        for id, node in nodes.items():
            for name, value in node["inputs"].items():
                if not isinstance(value, list):
                    self._by_input.setdefault(name, []).append(id)

    def of(self, key: str) -> list[tuple[str, str]]:
        """Node id and input name of every value that `key` sets."""
        if len(key) > _LONGEST_KEY:
            raise InvalidRequest(
                f"overrides: a key has {len(key)} characters, expected at most {_LONGEST_KEY}: {key[:80]!r}..."
            )
        if "." not in key:
            return self._of_input(key)
        for wanted, name in _splits(key):
            if self._has_input(wanted, name):
                return [(self._node(wanted, key), name)]
        wanted, _, name = key.rpartition(".")
        id = self._node(wanted, key)
        label = f"{_class_type(self._nodes[id])} (node {id})"
        raise InvalidRequest(
            f"overrides: {key!r}: {label} has no input {name!r}{_near(name, self._nodes[id]['inputs'])}"
        )

    def _has_input(self, wanted: str, name: str) -> bool:
        """Whether one of the nodes that `wanted` may mean has an input `name`."""
        ids = [wanted] if wanted in self._nodes else self._by_title.get(wanted) or self._by_class.get(wanted, [])
        return any(name in self._nodes[id]["inputs"] for id in ids)

    def _node(self, wanted: str, key: str) -> str:
        if wanted in self._nodes:
            return wanted
        found = self._by_title.get(wanted) or self._by_class.get(wanted, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidRequest(f"overrides: {key!r}: {wanted!r} is nodes {_listed(found)}; name one by its id")
        hint = _near(wanted, [*self._nodes, *self._by_title, *self._by_class])
        raise InvalidRequest(f"overrides: {key!r}: no node has the id, title or class_type {wanted!r}{hint}")

    def _of_input(self, name: str) -> list[tuple[str, str]]:
        names = SEED_INPUTS if name == "seed" else (name,)
        found = [(id, each) for each in names for id in self._by_input.get(each, [])]
        if len(found) == 1 or (found and name == "seed"):
            return found
        if found:
            ids = _listed([id for id, _ in found])
            raise InvalidRequest(f"overrides: {name!r} is an input of nodes {ids}; write NODE.{name}")
        raise InvalidRequest(f"overrides: no node has a value {name!r}{_near(name, self._by_input)}")


def _splits(key: str) -> Iterator[tuple[str, str]]:
    """`key` parted into node and input at its last 32 dots, the last first: titles and input names may have dots."""
    at = len(key)
    for _ in range(_MOST_SPLITS):
        at = key.rfind(".", 0, at)
        if at < 0:
            return
        yield key[:at], key[at + 1 :]


def _grouped(nodes: Mapping[str, Any], name_of: Callable[[Mapping[str, Any]], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for id, node in nodes.items():
        groups.setdefault(name_of(node), []).append(id)
    groups.pop("", None)
    return groups


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title") or "") if isinstance(meta, Mapping) else ""


def _class_type(node: Mapping[str, Any]) -> str:
    return str(node.get("class_type"))


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return ", ".join(id[:_LONGEST_KEY] for id in ids[:_MOST_NAMED]) + more


def _near(name: str, names: Iterable[str]) -> str:
    near = near_names(name, names)
    return f"; nearest: {', '.join(near)}" if near else ""
