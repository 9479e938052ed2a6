"""One job on ComfyUI's executor: what it hears, what it hands over, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from runtime.engines.comfyui import internals
from runtime.engines.comfyui.model_files import ModelFiles
from runtime.engines.comfyui.outputs import JobOutputs
from runtime.engines.comfyui.texts import png_text
from runtime.engines.native.faults import fault
from runtime.engines.native.job import sha256_of
from runtime.engines.previews import Previews
from runtime.engines.protocol import Execution, Run
from runtime.errors import NodeFailed, ServerlessError
from runtime.file_names import split_annotation
from runtime.graph.check import CheckReport
from runtime.graph.walk import walk
from runtime.progress import Progress
from runtime.telemetry.traces import EndSpan, begun_span


class ComfyJob:
    """What ComfyUI tells of one job, as the worker wants to hear it."""

    def __init__(self, report: CheckReport, run: Run, folders: Path, models: ModelFiles | None) -> None:
        self.run = run
        self.tenant = run.tenant
        self.outputs = JobOutputs(run.sink, folders, png_text(report.graph.source, run.extra_pnginfo))
        self.volatile: set[str] = set()
        self._folders = folders
        self._models = models
        self._graph = report.graph
        self._needed, _ = walk(report.graph, report.outputs)
        self._shown_as: dict[str, str] = {}
        self._done: set[str] = set()
        self._cached: tuple[str, ...] = ()
        self._node_ms: dict[str, float] = {}
        self._current: tuple[str, float, EndSpan] | None = None
        self._error: ServerlessError | None = None
        self.previews = Previews(run.previews)

    def again(self) -> None:
        """Begin anew after a failure that freed memory may mend."""
        self.outputs.again()
        self._done.clear()
        self._error = None

    # What the executor tells.

    def hear(self, event: Any, data: Any) -> None:
        """Take what ComfyUI would send to a browser."""
        if event == "execution_cached":
            self._cached = tuple(id for id in self._needed if id in set(data["nodes"]))
            self._done.update(self._cached)
        elif event == "executing" and data["node"] is not None:
            self._started(str(data["node"]), str(data.get("display_node") or data["node"]))
        elif event == "executed" and data.get("output"):
            self._executed(str(data["node"]), str(data.get("display_node") or data["node"]), data["output"])
        elif event == "execution_error" and data.get("exception_type") == "ExecutionBlocked":
            self._block(data)

    def step(self, value: float, total: float, preview: Any, node_id: str | None) -> None:
        """Report a step inside a node. Raises when the job shall end."""
        self.run.flag.check()
        if node_id is not None:
            self._report(self._shown_as.get(node_id, node_id), int(value), int(total), preview)

    def failed(self, error: Mapping[str, Any], exc: BaseException) -> None:
        """Keep why a node failed; its traceback goes to the log alone."""
        if self.run.flag.is_set:
            return
        node_id = str(error["node_id"])
        class_type = self._class_type(node_id) or "a node"
        if isinstance(exc, ServerlessError):
            self._error = exc
        elif isinstance(exc, Exception):
            self._error = fault(exc, node_id=node_id, class_type=class_type)

    def finish(self) -> None:
        """Close the last node's time, and raise what the job ended with, if it is not its own end."""
        self._close_node()
        self.run.flag.check()
        if self._error is not None:
            raise self._error

    def execution(self, *, load_ms: float) -> Execution:
        return Execution(cached_nodes=self._cached, node_ms=self._node_ms, load_ms=load_ms)

    # What the cache keys ask.

    def file_identity(self, value: str) -> str | None:
        if value not in self._identities:
            path = self._input_file(value)
            self._identities[value] = self._model(value) if path is None else sha256_of(path)
        return self._identities[value]

    def _model(self, value: str) -> str | None:
        return None if self._models is None else self._models.identity(value)

    def is_volatile(self, node_class: Any) -> bool:
        return getattr(node_class, "OUTPUT_NODE", False) is True

    @cached_property
    def _identities(self) -> dict[str, str | None]:
        return {}

    def _input_file(self, value: str) -> Path | None:
        path = self._folders / "input" / split_annotation(value)[0]
        return path if os.path.isfile(path) else None  # which takes a whole prompt for no file, and says so quietly

    def shown_as(self, node_id: str) -> str:
        """The node of the client's own graph that `node_id`, which may come of an expansion, stands for."""
        return self._shown_as.get(node_id, node_id)

    def _started(self, node_id: str, shown_as: str) -> None:
        self._shown_as[node_id] = shown_as
        self._close_node()
        end_span = begun_span(f"node {self._class_type(shown_as) or ''}".rstrip(), node_id=node_id)
        self._current = shown_as, time.perf_counter(), end_span
        self._report(shown_as, 0, 0, None)

    def _close_node(self) -> None:
        if self._current is not None:
            node_id, started, end_span = self._current
            end_span(self._error)
            self._node_ms[node_id] = self._node_ms.get(node_id, 0.0) + (time.perf_counter() - started) * 1000
            self._done.add(node_id)
            self._current = None

    def _executed(self, node_id: str, shown_as: str, ui: Mapping[str, Any]) -> None:
        if self.outputs.reported(shown_as, ui):
            self.volatile.add(node_id)

    def _block(self, data: Mapping[str, Any]) -> None:
        message = str(data["exception_message"])
        node_id = self.shown_as(str(data["node_id"]))
        self._error = NodeFailed(f"{data['node_type']} (node {node_id}): {message}", node_id=node_id)

    def _class_type(self, node_id: str) -> str | None:
        node = self._graph.nodes.get(node_id)
        return None if node is None else node.class_type

    def _report(self, node_id: str, step: int, steps: int, preview: Any) -> None:
        picture = internals.preview_image(preview)
        self.run.on_progress(
            Progress(
                node_id=node_id,
                class_type=self._class_type(node_id),
                nodes_done=len(self._done),
                nodes_total=max(len(self._needed), len(self._done)),
                step=step,
                steps=steps,
                preview=None if picture is None else self.previews.of(lambda: picture),
            )
        )
