from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtime.cancellation import CancelFlag
from runtime.engines.limits import GraphLimits
from runtime.engines.native.cache import NodeCache
from runtime.engines.native.engine import NativeEngine
from runtime.engines.protocol import Execution, FileOutput, Picture, Run
from runtime.graph.workflow import parse_workflow
from runtime.progress import Progress
from runtime.workspace import Workspace

Nodes = Mapping[str, tuple[str, dict[str, Any]]]


class Models:
    """A volume with no models on it."""

    load_seconds = 0.0
    freed = 0

    def names(self, kind: str) -> list[str]:
        return []

    def in_use(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def free(self) -> None:
        self.freed += 1


@dataclass
class Sink:
    """Keeps what an engine hands over."""

    pictures: list[Picture] = field(default_factory=list)
    files: list[FileOutput] = field(default_factory=list)

    def picture(self, picture: Picture) -> str:
        self.pictures.append(picture)
        return f"sub/{picture.filename_prefix}_{picture.index}.png"

    def file(self, output: FileOutput) -> str:
        self.files.append(output)
        return f"{output.filename_prefix}{output.suffix}"


@dataclass
class Bench:
    """A native engine with node classes made here. `shown` is what its output nodes `Show` were given, in order."""

    node_class: Callable[..., type]
    files: Workspace
    cache: NodeCache
    limits: GraphLimits = field(default_factory=GraphLimits)
    models: Models = field(default_factory=Models)
    sink: Sink = field(default_factory=Sink)
    classes: dict[str, type] = field(default_factory=dict)
    shown: list[Any] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    _engine: NativeEngine | None = None

    def add(self, name: str, function: Callable[..., Any], **declared: Any) -> None:
        """A node class around `function`; see the fixture `node_class`."""
        self.classes[name] = self.node_class(function, **declared)

    @property
    def engine(self) -> NativeEngine:
        """The one engine of the test, built when its classes are complete."""
        if self._engine is None:
            self._engine = NativeEngine(
                models=self.models,
                classes=self.classes,
                limits=self.limits,
                cache=self.cache,
            )
        return self._engine

    def run(self, nodes: Nodes, *, tenant: str = "t", flag: CancelFlag | None = None, **of_run: Any) -> Execution:
        """Run a graph, written as node id -> (class_type, inputs)."""
        source = {id: {"class_type": class_type, "inputs": inputs} for id, (class_type, inputs) in nodes.items()}
        report = self.engine.check(parse_workflow(source), self.files)
        report.raise_if_rejected()
        run = Run(
            job_id="job",
            tenant=tenant,
            files=self.files,
            sink=self.sink,
            flag=flag or CancelFlag(),
            on_progress=self.progress.append,
            **of_run,
        )
        return self.engine.execute(report, run)


@pytest.fixture
def bench(node_class: Callable[..., type], tmp_path: Path) -> Iterator[Bench]:
    """With `Number` (a constant), `Sum` of a and b, and `Show`, which keeps what it is given."""
    with Workspace(root=tmp_path) as files:
        bench = Bench(node_class, files, NodeCache(10_000_000))
        bench.add("Number", lambda value: (value,), required={"value": ("INT",)}, returns=("INT",))
        two = {"a": ("INT",), "b": ("INT",)}
        bench.add("Sum", lambda a, b: (a + b,), required=two, returns=("INT",))
        bench.add("Show", lambda value: bench.shown.append(value), required={"value": ("*",)}, output=True)
        yield bench
