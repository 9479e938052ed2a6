"""The native engine's node types: its own, and those of a deployment's folder of node classes."""

from __future__ import annotations

import importlib.util
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from runtime.errors import SettingsInvalid
from runtime.graph.node_type import NodeType, read_node_type


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

    Raises SettingsInvalid naming the file that does not import.
    """
    if not folder.is_dir():
        raise SettingsInvalid(f"NATIVE_NODES_PATH is {str(folder)!r}; expected a folder of Python files")
    sources = sorted([*folder.glob("[!_]*.py"), *folder.glob("[!_]*/__init__.py")])
    classes: dict[str, type] = {}
    for source in sources:
        classes.update(getattr(_import_file(source), "NODE_CLASS_MAPPINGS", {}))
    return classes


def _import_file(source: Path) -> ModuleType:
    stem = source.parent.name if source.name == "__init__.py" else source.stem
    name = f"native_nodes_{stem}_{zlib.crc32(str(source.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, source)
    if spec is None or spec.loader is None:
        raise SettingsInvalid(f"{source} cannot be imported as Python")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # a package's own imports look it up there
    try:
        spec.loader.exec_module(module)
    except Exception as exc:  # whatever a deployment's own file raises, the deployer needs the file's name
        del sys.modules[name]
        raise SettingsInvalid(f"{source} does not import: {exc}") from exc
    return module
