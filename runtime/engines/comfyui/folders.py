"""The folders that ComfyUI reads from and writes to: always the same paths, behind which each job has its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.engines.comfyui.internals import JOB_FOLDERS
from runtime.engines.protocol import JobFiles
from runtime.file_names import split_annotation
from runtime.graph.workflow import Graph

_LONGEST_NAME = 1024


class ComfyFolders:
    """ComfyUI's base directory in a folder of this process.

    Node classes, and modules of custom nodes, keep the paths of `input`, `output` and `temp` for as long as they live.
    So these are links, which lead to the job's own workspace while it runs and to empty folders between jobs.
    """

    def __init__(self, models: Path) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="comfyui-"))
        self.jobs = self.base
        self.user = self.base / "user"
        self._idle = self.base / "idle"
        for folder in (self.user, self.base / "custom_nodes", *(self._idle / name for name in JOB_FOLDERS)):
            folder.mkdir(parents=True)
        (self.base / "models").symlink_to(models.resolve())
        self._lead_to(self._idle)
        atexit.register(self.remove)

    @contextmanager
    def of(self, files: JobFiles, graph: Graph) -> Iterator[None]:
        """Lead to the job's folders while this is held; the deployment's shared inputs that `graph` names are there."""
        self._point(input=files.input, output=files.output, temp=files.temp)
        _link_shared(files, graph)
        try:
            yield
        finally:
            self._lead_to(self._idle)

    def remove(self) -> None:
        """Delete the base directory; the models behind it stay."""
        shutil.rmtree(self.base, ignore_errors=True)
        atexit.unregister(self.remove)

    def _lead_to(self, parent: Path) -> None:
        self._point(**{name: parent / name for name in JOB_FOLDERS})

    def _point(self, **targets: Path) -> None:
        for name, target in targets.items():
            draft = self.base / f".{name}"
            draft.symlink_to(target.resolve())
            os.replace(draft, self.jobs / name)


def _link_shared(files: JobFiles, graph: Graph) -> None:
    """Link what the graph names of the shared inputs into the job's own folder, the only one that ComfyUI looks in."""
    for name in {value for node in graph.nodes.values() for value in node.inputs.values() if isinstance(value, str)}:
        if not 0 < len(name) <= _LONGEST_NAME or not files.has_input(name):
            continue
        path, link = files.input_path(name), files.input / split_annotation(name)[0]
        if not link.exists() and not path.is_relative_to(files.input.resolve().parent):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
