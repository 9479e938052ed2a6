"""Record what a ComfyUI checkout says of the node types that the native engine has, for tests/nodes to hold them to.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.parity.make_object_info

Facts alone are kept: inputs with their types, options and order, outputs, category and display name; no texts. Runs
in the interpreter that has ComfyUI's requirements, from the repository's root.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from runtime.nodes import node_classes
from runtime.nodes.protocol import InputFiles, ModelFiles
from scripts.parity.case_file import PARITY
from scripts.parity.checkout import Checkout, CheckoutError

RECORDED = PARITY.parent / "nodes" / "object_info.json"
KEPT = ("input", "output", "output_is_list", "output_name", "output_node", "category", "display_name")
TEXTS = ("tooltip", "multiselect")


def main() -> int:
    """Write the record; the exit status is 1 where the checkout cannot be used or lacks a node type."""
    try:
        with tempfile.TemporaryDirectory(prefix="object-info-") as base:
            Checkout(Path(os.environ.get("COMFYUI_PATH", "")), Path(base) / "base")
            record = {name: _facts(name, cls) for name, cls in sorted(node_classes().items())}
    except (CheckoutError, KeyError) as exc:
        print(f"make_object_info: {exc}", file=sys.stderr)
        return 1
    RECORDED.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{len(record)} node types recorded in {RECORDED}")
    return 0


def _facts(name: str, ours: Any) -> dict[str, Any]:
    """What the checkout says of the node type `name`; combos of files, as `ours` declares them, without their names."""
    nodes = importlib.import_module("nodes")
    facts = _described(nodes.NODE_CLASS_MAPPINGS[name])
    files = {key for inputs in ours.INPUT_TYPES().values() for key, spec in inputs.items() if _is_files(spec)}
    facts["input"] = {
        kind: {key: _plain(spec, key in files) for key, spec in inputs.items()}
        for kind, inputs in facts["input"].items()
        if inputs and kind != "hidden"
    }
    return {**facts, "display_name": facts["display_name"] or nodes.NODE_DISPLAY_NAME_MAPPINGS.get(name) or name}


def _described(theirs: Any) -> dict[str, Any]:
    """The facts of a node class, of either of ComfyUI's two ways to write one."""
    if hasattr(theirs, "GET_NODE_INFO_V1"):
        info = theirs.GET_NODE_INFO_V1()
        return {key: info[key] for key in KEPT}
    outputs = list(theirs.RETURN_TYPES)
    return {
        "input": theirs.INPUT_TYPES(),
        "output": outputs,
        "output_is_list": list(getattr(theirs, "OUTPUT_IS_LIST", [False] * len(outputs))),
        "output_name": list(getattr(theirs, "RETURN_NAMES", outputs)),
        "output_node": bool(getattr(theirs, "OUTPUT_NODE", False)),
        "category": theirs.CATEGORY,
        "display_name": None,
    }


def _plain(spec: Any, is_files: bool) -> list[Any]:
    """A declaration as [type, options]; the newer form of a combo, ("COMBO", {"options": ...}), as the older one."""
    kind, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    options = {key: value for key, value in options.items() if key not in TEXTS}
    if kind == "COMBO":
        kind = options.pop("options")
    return ["files" if is_files else kind, options]


def _is_files(spec: Any) -> bool:
    return isinstance(spec, tuple) and isinstance(spec[0], ModelFiles | InputFiles)


if __name__ == "__main__":
    sys.exit(main())
