"""Importing ComfyUI, in its own order, once in a process: the half that needs no device, and the half that does."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.engines.comfyui import internals
from runtime.engines.comfyui.device import decide_anew, limit_memory, take_device
from runtime.engines.comfyui.folders import ComfyFolders
from runtime.engines.comfyui.packages import NodePackages
from runtime.engines.comfyui.placement import Placement
from runtime.engines.comfyui.thread import ComfyThread, LoopThread

_log = logging.getLogger(__name__)


class Comfy:
    """A booted checkout: its modules, and what it takes to drive them."""

    def __init__(self, path: Path, folders: ComfyFolders, thread: ComfyThread) -> None:
        self.path = path
        self.release = internals.require_checkout(path)
        self.folders = folders
        self.thread = thread
        self.packages = NodePackages()
        self.load_ms = 0.0
        self.phases_ms: dict[str, float] = {}
        self.arguments: Any = None
        self._server_loop = LoopThread()
        self.listener: Any = lambda event, data: None

    def module(self, name: str) -> ModuleType:
        """The checkout's module of that name."""
        return internals.import_from(self.path, name)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the boot."""
        started = time.perf_counter()
        yield
        self.phases_ms[name] = round((time.perf_counter() - started) * 1000, 1)

    def prepare(self, placement: Placement, custom_nodes: Sequence[Path], arguments: Sequence[str]) -> None:
        """Import everything and initialise every node, touching no device where `placement` is deferred."""
        with self.phase("torch"):
            importlib.import_module("torch")
        with self.phase("arguments"):
            if str(self.path) not in sys.path:
                sys.path.append(str(self.path))
            base = ["--base-directory", str(self.folders.base), "--disable-auto-launch"]
            self.arguments = internals.parse_arguments(self.path, [*base, *placement.arguments(), *arguments])
            for name, value in internals.environment(self.arguments).items():
                os.environ.setdefault(name, value)
            # The front end is only ever looked for, never served: without one ComfyUI would end the process.
            self.arguments.front_end_root = str(self.folders.user)
            self.previews_method = internals.previews_method(self.arguments)
            self.arguments.database_url = "sqlite:///:memory:"
        with self.phase("folders"):
            self._folders(custom_nodes)
        with self.phase("pre-start scripts"):
            for folder in custom_nodes:
                self._run_prestart_scripts(folder)
        with self.phase("core nodes"):
            if not placement.is_deferred:
                take_device(placement)
            internals.hook_loading(self.module("comfy.utils"), self._read_tensors)
            for name in ("execution", "nodes"):
                self.module(name)
            _move_last(str(self.path / "comfy"))
        with self.phase("server"):
            self._start_server()
        with self.phase("extra and custom nodes"):
            self._init_nodes()

    def attach(self, placement: Placement) -> None:
        """Take the device of `placement`, which `prepare` left open if it was deferred there."""
        self._server_loop.start()
        management = self.module("comfy.model_management")
        with self.phase("device"):
            if self.arguments.cpu:
                decide_anew(self.arguments, management, placement)
            limit_memory(management, placement)

    def rest(self) -> None:
        """End the server's thread, which `attach` starts again."""
        self._server_loop.rest()

    def close(self) -> None:
        """End the server's thread and remove the folders."""
        self._server_loop.close()
        self.folders.remove()

    def _folders(self, custom_nodes: Sequence[Path]) -> None:
        folder_paths = self.module("folder_paths")
        extra = self.module("utils.extra_config")  # before `nodes` puts comfy/, and its utils.py, first on sys.path
        folders = self.folders
        internals.point_folders(
            folder_paths, jobs=folders.jobs, user=folders.user, custom_nodes=custom_nodes, checkout=self.path
        )
        yaml = self.path / "extra_model_paths.yaml"
        if yaml.is_file():
            extra.load_extra_path_config(str(yaml))

    def _run_prestart_scripts(self, folder: Path) -> None:
        for script in sorted(folder.glob("*/prestartup_script.py")):
            if script.parent.name.endswith(".disabled"):
                continue
            with self.packages.watching(str(script)) as report:
                report(_run(script))

    def _start_server(self) -> None:
        self._server_loop.start()
        self.server = internals.quiet_server(self.module("server"), self._server_loop.loop, self._hear)
        self.server.last_prompt_id = ""

    def _read_tensors(self, path: Path, device: Any) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The tensors and the metadata of a safetensors file, and the time that it took added to `load_ms`."""
        import torch

        from runtime.models.reader import read_tensors

        started = time.perf_counter()
        read = read_tensors(path, device=torch.device("cpu") if device is None else torch.device(device))
        self.load_ms += (time.perf_counter() - started) * 1000
        return read.tensors, read.metadata

    def _hear(self, event: Any, data: Any) -> None:
        self.listener(event, data)

    def _init_nodes(self) -> None:
        nodes = self.module("nodes")
        internals.watch_node_imports(nodes, self.packages.watching)
        api_nodes = not getattr(self.arguments, "disable_api_nodes", True)  # of a release before them
        self.thread.settle(internals.init_nodes(nodes, api_nodes=api_nodes))
        for package in self.packages.failed:
            _log.warning("the node package %s is left out: %s", package.name, package.failure)


def _run(script: Path) -> bool:
    """Run a custom node's pre-start script; what it raises is logged, as by ComfyUI."""
    spec = importlib.util.spec_from_file_location(str(script.with_suffix("")), script)
    if spec is None or spec.loader is None:
        return False
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as exc:  # a custom node's own code; the others shall load all the same
        _log.warning("Traceback of %s: %s: %s", script, type(exc).__name__, exc)
        return False
    return True


def _move_last(folder: str) -> None:
    real = os.path.realpath(folder)
    for place in [place for place in sys.path if os.path.realpath(place) == real]:
        sys.path.remove(place)
        sys.path.append(place)
