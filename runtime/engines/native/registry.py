"""The native engine's node types: its own, and those of a deployment's folder of node classes."""

from __future__ import annotations

import importlib.util
import logging
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from runtime.graph.node_type import NodeType, read_node_type

_log = logging.getLogger(__name__)


class NodeRegistry:
    """Node types by class_type, each read when it is first asked for."""

    def __init__(self, classes: Mapping[str, type]) -> None:
        self._classes = dict(classes)
        self._types: dict[str, NodeType] = {}

    def get(self, class_type: str) -> NodeType | None:
        """The type named `class_type`, or None."""
        known = self._types.get(class_type)
        if known is None and (cls := self._classes.get(class_type)) is not None:
            known = self._types[class_type] = read_node_type(class_type, cls)
        return known

    def names(self) -> Sequence[str]:
        """Every class_type."""
        return list(self._classes)


def load_node_folder(folder: Path) -> dict[str, type]:
    """The `NODE_CLASS_MAPPINGS` of every Python file (or package) in `folder`, in the order of their names.

    As in ComfyUI, one that does not import is left out and named in the log with its reason; so is one without nodes.
    """
    sources = sorted([*folder.glob("[!_]*.py"), *folder.glob("[!_]*/__init__.py")])
    classes: dict[str, type] = {}
    for source in sources:
        classes.update(_classes_of(source))
    return classes


def _classes_of(source: Path) -> Mapping[str, type]:
    try:
        module = _import_file(source)
    except Exception as exc:  # a deployment's own file may raise anything; the others shall work all the same
        _log.error("%s does not import, its nodes are left out: %s: %s", source, type(exc).__name__, exc)
        return {}
    classes: Mapping[str, type] = getattr(module, "NODE_CLASS_MAPPINGS", {})
    if not classes:
        _log.warning("%s has no NODE_CLASS_MAPPINGS, so it adds no nodes", source)
    return classes


def _import_file(source: Path) -> ModuleType:
    stem = source.parent.name if source.name == "__init__.py" else source.stem
    name = f"native_nodes_{stem}_{zlib.crc32(str(source.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, source)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python source")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # a package's own imports look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
