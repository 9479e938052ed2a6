"""A job's outputs in a folder of the user's, under the names that ComfyUI would give them."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from runtime.artifacts.store import ArtifactStore
from runtime.result import JobResult, Output

_COUNTED = re.compile(r"^(?P<prefix>.*_)(?P<number>\d{5,})(?P<rest>_\.\w+)$")


def place_outputs(result: JobResult, store: ArtifactStore, folder: Path) -> dict[str, Path]:
    """Copy each output of `result` into `folder`, counting on where a name is taken; answers output key -> path."""
    placed = {}
    for output in result.outputs:
        data = store.get(output.key) if output.key is not None and not output.temporary else None
        if data is not None and output.key is not None:
            placed[output.key] = _place(data, folder / output.subfolder, output)
    return placed


def _place(data: bytes, folder: Path, output: Output) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(beside, 0o644)
        return _link(Path(beside), folder, output.filename)
    finally:
        Path(beside).unlink(missing_ok=True)


def _link(source: Path, folder: Path, name: str) -> Path:
    """Give `source` the first free name from `name` on; whole or not at all, and never over a file that is there."""
    while True:
        target = folder / name
        try:
            os.link(source, target)
        except FileExistsError:
            name = _next_name(name)
        else:
            return target


def _next_name(name: str) -> str:
    counted = _COUNTED.match(name)
    if counted is None:
        stem, dot, suffix = name.rpartition(".")
        return f"{stem or suffix}_00001_{dot}{suffix}"
    return f"{counted['prefix']}{int(counted['number']) + 1:05}{counted['rest']}"
