"""A YAML document as data, with the line of everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml import Node

Key = tuple[str | int, ...]


def parse(text: str) -> tuple[Any, Node | None]:
    """The document's data, and its tree for `line_of`; both None for an empty one. Raises yaml.YAMLError."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        tree = loader.get_single_node()
        return (None if tree is None else loader.construct_document(tree)), tree
    finally:
        loader.dispose()


def explain_syntax(exc: Exception) -> tuple[int, str]:
    """The line of a yaml.YAMLError, from 1, and what is wrong there."""
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    message = getattr(exc, "problem", None) or str(exc)
    return (mark.line if mark else 0) + 1, message.strip().partition("\n")[0]


def repeated_keys(node: Node | None) -> Iterator[tuple[int, Key]]:
    """Line and key of what stands twice in one place, of which YAML itself would take the last in silence."""
    return _repeated(node, (), set())


def _repeated(node: Node | None, key: Key, visited: set[int]) -> Iterator[tuple[int, Key]]:
    if id(node) in visited:  # an alias, which may even lead back to what it stands in
        return
    visited.add(id(node))
    seen: set[object] = set()
    for name, child, line in _children(node):
        if name in seen:
            yield line, (*key, name)
        seen.add(name)
        yield from _repeated(child, (*key, name), visited)


def find(tree: Node | None, key: Key) -> int | None:
    """The line of the value at `key`, from 1; None where the document has none."""
    line, found = _nearest(tree, key)
    return line if found else None


def line_of(tree: Node | None, key: Key) -> int:
    """The line of the value at `key`, or of the nearest thing around it that the document has."""
    return _nearest(tree, key)[0]


def _nearest(tree: Node | None, key: Key) -> tuple[int, bool]:
    line, node = 1, tree
    for part in key:
        found = next(((child, at) for name, child, at in _children(node) if name == part), None)
        if found is None:
            return line, False
        node, line = found
    return line, True


def _children(node: Node | None) -> Iterator[tuple[str | int, Node, int]]:
    """Key or place of everything directly in a node, with its line from 1."""
    entries = node.value if node is not None and isinstance(node.value, list) else []
    for place, entry in enumerate(entries):
        if isinstance(entry, tuple):
            yield str(entry[0].value), entry[1], entry[0].start_mark.line + 1
        else:
            yield place, entry, entry.start_mark.line + 1


def shown(key: Key) -> str:
    """`key` as people write it: `models[0].sha256`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
