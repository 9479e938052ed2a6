"""The comfyui engine: upstream ComfyUI, imported from its checkout and run in this process."""

from __future__ import annotations

import copy
import functools
import gc
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runtime.engines.comfyui import internals
from runtime.engines.comfyui.boot import Comfy
from runtime.engines.comfyui.cache import ResultCache
from runtime.engines.comfyui.check import Verdict, check
from runtime.engines.comfyui.folders import ComfyFolders
from runtime.engines.comfyui.job import ComfyJob
from runtime.engines.comfyui.model_files import ModelFiles
from runtime.engines.comfyui.pictures import Hand, replace_saving
from runtime.engines.comfyui.placement import Placement
from runtime.engines.comfyui.thread import ComfyThread
from runtime.engines.limits import GraphLimits
from runtime.engines.protocol import Execution, JobFiles, Run
from runtime.errors import OutOfMemory
from runtime.graph.check import CheckReport
from runtime.graph.told_types import check_by_told
from runtime.graph.workflow import Graph

_SOON_S = 1.0
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ComfyOptions:
    """Where ComfyUI is and what it may use. `arguments` are further ones of its own command line."""

    checkout: Path
    models: Path
    placement: Placement
    custom_nodes: Path | None = None
    arguments: Sequence[str] = ()
    cache_nodes: int = 200
    cache_bytes: int = 1_000_000_000
    loads_api_nodes: bool = True
    limits: GraphLimits = field(default_factory=GraphLimits)


class ComfyEngine:
    """Runs graphs on the checkout's own executor, on a thread of its own; one a process, as its modules are.

    ComfyUI is imported when it is first needed, or by `prepare` without a device and by `attach` with one.
    """

    name = "comfyui"

    def __init__(self, options: ComfyOptions) -> None:
        internals.require_checkout(options.checkout)
        self._options = options
        self._thread = ComfyThread()
        self._comfy: Comfy | None = None
        self._job: ComfyJob | None = None
        self._cache: ResultCache | None = None
        self._model_files: ModelFiles | None = None
        self._told: Mapping[str, Any] | None = None
        self._is_attached = False
        self.tap: Callable[[Any, Any], None] | None = None
        """Where given, hears every event of the executor too."""

    def boot(self) -> Mapping[str, Any]:
        """Import ComfyUI now, with its device; the health report of that."""
        self._on_thread(self._booted)
        return self.health()

    def prepare(self) -> None:
        """Import ComfyUI and its nodes with no device touched and no thread left: what a memory snapshot may hold."""
        comfy = self._on_thread(lambda: self._comfy or self._boot(deferred=True))
        if not self._is_attached:
            comfy.rest()
            self._thread.rest()

    def attach(self) -> None:
        """Take the device that the settings name: what `prepare` left open is decided now."""
        self._on_thread(self._attach)

    def object_info(self) -> Mapping[str, Any]:
        """The node types as ComfyUI's own server describes them; as it last did while a job is at work."""
        told = self._told
        if told is None:
            return self._on_thread(self._object_info)
        return self._thread.call_soon(self._object_info, within_s=_SOON_S, otherwise=lambda: told)

    def knows(self, class_type: str) -> bool:
        return self._on_thread(lambda: class_type in self._classes)

    def lacks(self, graph: Graph) -> Sequence[str]:
        """Nothing: what it does not have, its own check names."""
        return ()

    def health(self) -> Mapping[str, Any]:
        """The release, how long each phase of the boot took, and the node packages that did not load, with reasons."""
        comfy = self._comfy
        if comfy is None:
            return {"engine": self.name, "booted": False}
        return {
            "engine": self.name,
            "booted": True,
            "release": comfy.release,
            "phases_ms": dict(comfy.phases_ms),
            "nodes": len(comfy.module("nodes").NODE_CLASS_MAPPINGS),
            "failed_packages": {package.name: package.failure for package in comfy.packages.failed},
        }

    def check(self, graph: Graph, files: JobFiles) -> CheckReport:
        """ComfyUI's own check, with its `node_errors`."""
        return self._on_thread(lambda: self._check(graph, files))

    def rehearse(self, graph: Graph, files: JobFiles) -> CheckReport:
        """`check`; while a job is at work, which has ComfyUI for itself, what its node types declare is looked at."""
        told = self._told
        if told is None:
            self.object_info()
            return self.check(graph, files)
        return self._thread.call_soon(
            lambda: self._check(graph, files), within_s=_SOON_S, otherwise=lambda: check_by_told(graph, told)
        )

    def execute(self, report: CheckReport, run: Run) -> Execution:
        """Run the graph's good outputs; one that runs out of memory is run once more with nothing else loaded."""
        return self._on_thread(lambda: self._execute(report, run))

    def warm(self, kind: str, name: str, *, tier: str | None = None) -> bool:
        """Nothing: ComfyUI's loader nodes read their files when they run."""
        return False

    def free(self) -> None:
        """Forget kept results and every model."""
        self._on_thread(self._free)

    def close(self) -> None:
        """End ComfyUI's threads and remove its folders: the process runs no graph on it any more."""
        self._thread.close()
        if self._comfy is not None:
            self._comfy.close()

    def _on_thread(self, function: Callable[[], _T]) -> _T:
        return self._thread.call(function)

    # All below runs on ComfyUI's thread.

    @property
    def _classes(self) -> Mapping[str, Any]:
        classes: Mapping[str, Any] = self._booted().module("nodes").NODE_CLASS_MAPPINGS
        return classes

    def _booted(self) -> Comfy:
        return self._comfy if self._comfy is not None and self._is_attached else self._attach()

    def _boot(self, *, deferred: bool) -> Comfy:
        options = self._options
        comfy = Comfy(options.checkout, ComfyFolders(options.models), self._thread)
        own = [options.checkout / "custom_nodes", *([options.custom_nodes] if options.custom_nodes else [])]
        arguments = [*options.arguments, *([] if options.loads_api_nodes else ["--disable-api-nodes"])]
        comfy.prepare(options.placement.deferred(deferred), own, arguments)
        self._hook(comfy)
        self._comfy = comfy
        _log.info("ComfyUI %s is imported, in milliseconds: %s", comfy.release, dict(comfy.phases_ms))
        return comfy

    def _attach(self) -> Comfy:
        comfy = self._comfy or self._boot(deferred=False)
        if self._is_attached:
            return comfy
        comfy.attach(self._options.placement)
        internals.hook_interruption(comfy.module("comfy.model_management"), self._look)
        self._result_cache().clear()
        self._is_attached = True
        return comfy

    def _object_info(self) -> Mapping[str, Any]:
        info: Mapping[str, Any]
        answer = self._thread.settle(internals.object_info(self._booted().server))
        self._told = info = json.loads(answer.text)
        return info

    def _hook(self, comfy: Comfy) -> None:
        """Put our ears and hands where ComfyUI has room for them."""
        execution, nodes = comfy.module("execution"), comfy.module("nodes")
        comfy.listener = self._hear
        internals.quieten_progress_state(execution)
        internals.hook_progress(comfy.module("comfy.utils"), self._step)
        internals.hook_previews(comfy.module("latent_preview"), self._is_preview_due)
        replace_saving(nodes, self._hand)
        executor = functools.partial(
            internals.new_executor, execution, comfy.server, cache_nodes=self._options.cache_nodes, failed=self._failed
        )
        self._cache = cache = ResultCache(execution, nodes.NODE_CLASS_MAPPINGS, executor, self._options.cache_bytes)
        self._model_files = ModelFiles(comfy.module("folder_paths"), cache.forget_objects)

    def _check(self, graph: Graph, files: JobFiles) -> CheckReport:
        comfy = self._booted()
        with comfy.folders.of(files, graph):
            return check(graph, self._classes, comfy.packages, self._options.limits, self._validate)

    def _validate(self, prompt: dict[str, Any]) -> Verdict:
        comfy = self._booted()
        verdict: Verdict = self._thread.settle(internals.validate(comfy.module("execution"), "check", prompt))
        return verdict

    def _execute(self, report: CheckReport, run: Run) -> Execution:
        comfy = self._booted()
        self._job = job = ComfyJob(report, run, comfy.folders.jobs, self._model_files)
        loaded_ms = comfy.load_ms
        try:
            with comfy.folders.of(run.files, report.graph):
                try:
                    self._run_once(comfy, job, report)
                except OutOfMemory as exc:
                    _log.warning("%s: freeing and trying once more", exc.message)
                    self._free()
                    job.again()
                    self._run_once(comfy, job, report)
        finally:
            self._job = None
        return job.execution(load_ms=comfy.load_ms - loaded_ms)

    def _run_once(self, comfy: Comfy, job: ComfyJob, report: CheckReport) -> None:
        job.run.flag.check()
        previews = internals.set_previews(comfy.arguments, comfy.previews_method if job.run.previews else None)
        cache = self._result_cache()
        cache.begin(job)
        prompt = copy.deepcopy(dict(report.graph.source))
        extra = {"extra_pnginfo": dict(job.run.extra_pnginfo), "api_key_comfy_org": job.run.api_key_comfy_org}
        extra |= previews
        run = internals.run_prompt(cache.executor, prompt, job.run.job_id, extra, report.outputs)
        try:
            self._thread.settle(run)
        finally:
            cache.end(job.volatile)
        job.finish()

    def _result_cache(self) -> ResultCache:
        if self._cache is None:
            raise RuntimeError("ComfyUI is not booted")
        return self._cache

    def _free(self) -> None:
        if self._comfy is not None:
            self._result_cache().clear()
            internals.free_memory(self._comfy.module("comfy.model_management"))
            gc.collect()

    def _hear(self, event: Any, data: Any) -> None:
        if self._job is not None and threading.current_thread() is self._thread.owner:
            self._job.hear(event, data)
            if self.tap is not None:
                self.tap(event, data)

    def _step(self, value: float, total: float, preview: Any, node_id: str | None) -> None:
        if self._job is not None:
            self._look()
            running = node_id or internals.running_node(self._booted().server)
            self._job.step(value, total, preview, running)

    def _is_preview_due(self) -> bool:
        return self._job is not None and self._job.previews.is_due()

    def _look(self) -> None:
        """Raise what ComfyUI takes for an interruption if the job shall end."""
        if self._job is not None and self._job.run.flag.is_set:
            raise internals.interruption(self._booted().module("comfy.model_management"), "the job shall end")

    def _hand(self) -> Hand | None:
        job = self._job
        if job is None:
            return None

        def hand(pixels: Any, prefix: str, temporary: bool) -> dict[str, str]:
            node_id = job.shown_as(internals.running_node(self._booted().server) or "")
            return job.outputs.picture(node_id, pixels, prefix, temporary=temporary)

        return hand

    def _failed(self, error: Mapping[str, Any], exc: BaseException) -> None:
        if self._job is not None:
            self._job.failed(error, exc)
