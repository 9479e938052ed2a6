"""Record what ComfyUI's own front end makes of workflows in the editor's format, for tests/graph/ui.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.ui_reference.record

Runs in the interpreter that has ComfyUI's requirements (its front end and its templates among them), on a machine with
Chromium, from the repository's root. Of each template its name and the SHA-256 of the canonical result are kept; of our
own cases workflow and result; of the checkout's node types what conversion reads.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.ui_reference.browser import PageError
from scripts.ui_reference.canonical import canonical_sha256, templates
from scripts.ui_reference.cases import all_cases
from scripts.ui_reference.front_end import FrontEnd, front_end

ROOT = Path(__file__).resolve().parents[2] / "tests" / "graph" / "ui"
_KEPT = ("input", "input_order", "output", "output_name", "display_name")


async def record(checkout: Path) -> None:
    """Write the records. Raises PageError where the front end fails on a workflow."""
    with tempfile.TemporaryDirectory(prefix="ui-reference-") as base:
        async with front_end(checkout, Path(base)) as editor:
            cases = {name: await _case(editor, name, workflow) for name, workflow in all_cases()}
            hashes = {name: await _template(editor, name, workflow) for name, workflow in templates()}
            known = {name: _facts(info) for name, info in sorted(editor.object_info.items())}
    ROOT.mkdir(parents=True, exist_ok=True)
    (ROOT / "cases.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    front = importlib.metadata.version("comfyui_frontend_package")
    (ROOT / "templates.json").write_text(json.dumps({"front_end": front, "sha256": hashes}, indent=1) + "\n")
    packed = gzip.compress(json.dumps(known, separators=(",", ":")).encode(), mtime=0)
    (ROOT / "object_info.json.gz").write_bytes(packed)
    print(f"{len(cases)} cases, {len(hashes)} templates, {len(known)} node types recorded in {ROOT}")


async def _case(editor: FrontEnd, name: str, workflow: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"workflow": workflow, "sent": await editor.convert(workflow)}
    except PageError as exc:
        return {"workflow": workflow, "refused": str(exc).partition("\n")[0]}


async def _template(editor: FrontEnd, name: str, workflow: Mapping[str, Any]) -> str:
    try:
        return canonical_sha256(await editor.convert(workflow))
    except PageError as exc:
        raise PageError(f"{name}: {exc}") from exc


def _facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """What conversion reads of a node type: no texts, and of a combo's options the first."""
    facts = {key: info[key] for key in _KEPT if info.get(key)}
    facts["input"] = {
        kind: {name: _spec(spec) for name, spec in inputs.items()}
        for kind, inputs in info["input"].items()
        if kind in ("required", "optional") and inputs
    }
    facts["output"] = ["COMBO" if isinstance(each, list) else each for each in info.get("output") or ()]
    return facts


def _spec(spec: Any) -> Any:
    kind, settings = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    settings.pop("tooltip", None)
    if isinstance(settings.get("options"), list):
        settings["options"] = settings["options"][:1]
    return [kind[:1] if isinstance(kind, list) else kind, settings]


def main() -> int:
    """Record; the exit status is 1 where the checkout or the browser cannot be used."""
    try:
        asyncio.run(record(Path(os.environ.get("COMFYUI_PATH", ""))))
    except PageError as exc:
        print(f"record: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
