"""The private folders of one job."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from runtime.errors import InputRejected
from runtime.file_names import safe_name, shown, split_annotation
from runtime.held_folder import HeldFolder
from runtime.near_names import near_names

_log = logging.getLogger(__name__)
_REMOVAL_ATTEMPTS = 3

SUFFIXES = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ico"}),
    "latent": frozenset({".latent"}),
}


class Workspace:
    """A job's `input`, `output` and `temp` folders, made when first asked for and removed with all they hold.

    They lie in a folder of their own, which only this user may read, under `root` (by default the system's temporary
    folder). `shared_inputs` are the deployment's own input folders, looked in after the job's, never written to.
    """

    def __init__(self, *, root: Path | None = None, shared_inputs: Sequence[Path] = ()) -> None:
        self._root = root
        self._shared_inputs = tuple(shared_inputs)
        self._held: HeldFolder | None = None
        self._is_removed = False
        self._lock = threading.Lock()

    @property
    def input(self) -> Path:
        return self._sub_folder("input")

    @property
    def output(self) -> Path:
        return self._sub_folder("output")

    @property
    def temp(self) -> Path:
        return self._sub_folder("temp")

    def input_path(self, name: str) -> Path:
        """Where the file `name` lies: `a.png`, `sub/a.png`, or `a.png [output]` as ComfyUI annotates it.

        A symbolic link is followed as long as it stays in its folder. Raises InputRejected, naming `name`, where it
        or its link leaves the folder, or no such file is there.
        """
        path = self._find(name)
        if path is None:
            raise InputRejected(f"input file {shown(name)} is not there{self._near(split_annotation(name)[0])}")
        return path

    def has_input(self, name: str) -> bool:
        """Whether `input_path` would answer; cheaper than its refusal, which looks for near names."""
        try:
            return self._find(name) is not None
        except InputRejected:
            return False

    def new_input(self, name: str) -> Path:
        """Where to write the job's own input `name`, its parents made.

        Raises InputRejected for a name that is unsafe, annotated, taken already, or below another file.
        """
        if split_annotation(name)[1] is not None:
            raise InputRejected(f"file name {shown(name)} is annotated with a folder, expected a plain name")
        path = self.input / safe_name(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise InputRejected(f"file name {shown(name)} lies below another input file") from exc
        if path.exists():
            raise InputRejected(f"file name {shown(name)} is taken already, expected each name once")
        return path

    def input_names(self, kind: str) -> list[str]:
        """The input files of `kind` (a key of SUFFIXES), sorted, sub-folders with `/`; the job's own and the shared."""
        suffixes = SUFFIXES[kind]
        found = {name for folder in self._searched(None) for name in _names(folder)}
        return sorted(name for name in found if os.path.splitext(name)[1].lower() in suffixes)

    def remove(self) -> None:
        """Delete everything; harmless when repeated, and when files vanish or appear meanwhile."""
        with self._lock:
            held, self._held, self._is_removed = self._held, None, True
        if held is not None:
            _remove_tree(held.path)
            held.let_go()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    def _sub_folder(self, name: str) -> Path:
        with self._lock:
            if self._is_removed:
                raise RuntimeError("the workspace of this job is removed already")
            self._held = self._held or HeldFolder(self._root)
            folder = self._held.path / name
            folder.mkdir(exist_ok=True)
            return folder

    def _searched(self, kind: str | None) -> list[Path]:
        """The folders that a name of `kind` may lie in; one that was never made is not made by looking."""
        held = self._held
        own = [] if held is None else [held.path / (kind or "input")]
        return own if kind in ("output", "temp") else [*own, *self._shared_inputs]

    def _find(self, name: str) -> Path | None:
        plain, kind = split_annotation(name)
        relative = str(safe_name(plain))
        found = (_path_inside(folder, relative) for folder in self._searched(kind))
        return next((path for path in found if path is not None), None)

    def _near(self, name: str) -> str:
        near = near_names(name, [found for kind in SUFFIXES for found in self.input_names(kind)])
        return f"; near it: {', '.join(map(shown, near))}" if near else ""


def _path_inside(folder: Path, name: str) -> Path | None:
    """The real path of the regular file `name` in `folder`, None if there is none."""
    real_folder = os.path.realpath(folder)
    real_path = os.path.realpath(os.path.join(real_folder, name))
    if os.path.commonpath((real_folder, real_path)) != real_folder:
        raise InputRejected(f"input file {shown(name)} is a link out of its folder")
    return Path(real_path) if os.path.isfile(real_path) else None


def _names(folder: Path) -> Iterator[str]:
    for parent, _, files in os.walk(folder):
        for file in files:
            yield os.path.relpath(os.path.join(parent, file), folder).replace(os.sep, "/")


def _remove_tree(folder: Path) -> None:
    for _ in range(_REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    _log.warning("the folder %s of a finished job could not be removed", folder)
