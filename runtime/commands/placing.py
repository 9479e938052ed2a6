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
        if output.key is None or output.temporary or output.kind == "text":
            continue
        data = store.get(output.key)
        if data is not None:
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
            _give_name(source, target)
        except FileExistsError:
            name = _next_name(name)
        else:
            return target


def _give_name(source: Path, target: Path) -> None:
    """Link `target` to the file. Where a file system has no links, take the name first and rename over it."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        target.touch(exist_ok=False)
        try:
            os.replace(source, target)
        except OSError:
            target.unlink()
            raise


def _next_name(name: str) -> str:
    counted = _COUNTED.match(name)
    if counted is None:
        stem, dot, suffix = name.rpartition(".")
        return f"{stem or suffix}_00001_{dot}{suffix}"
    return f"{counted['prefix']}{int(counted['number']) + 1:05}{counted['rest']}"
