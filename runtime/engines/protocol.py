"""What every engine answers, and what it is given to run a graph with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runtime.cancellation import CancelFlag
from runtime.graph.check import CheckReport
from runtime.graph.workflow import Graph
from runtime.progress import ProgressSink

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


class JobFiles(Protocol):
    """The files of one job: its inputs, and the folders that foreign code may write to, made when first asked for."""

    @property
    def input(self) -> Path: ...

    @property
    def output(self) -> Path: ...

    @property
    def temp(self) -> Path: ...

    def input_path(self, name: str) -> Path:
        """Where the input file lies. Raises InputRejected for a name that is not there or leaves the folder."""

    def has_input(self, name: str) -> bool:
        """Whether `input_path` would answer."""

    def input_names(self, kind: str) -> Sequence[str]:
        """The names of the files of a kind: `image` or `latent`."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One finished picture on its way out: 8-bit pixels (H, W, C), named as ComfyUI names it."""

    node_id: str
    index: int
    filename_prefix: str
    pixels: NDArray[numpy.uint8] = field(repr=False)
    png_text: Mapping[str, str] = field(repr=False, default_factory=dict)
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class FileOutput:
    """One finished file that is not a picture; `suffix` with its dot, `kind` as in a result's outputs.

    `name`, where it is given, is what the file is called, sub-folder and all: the prefix is not counted then. `data`
    may be where a large file lies, which stays there unchanged for as long as the job's workspace.
    """

    node_id: str
    index: int
    filename_prefix: str
    suffix: str
    kind: str
    data: bytes | Path = field(repr=False)
    name: str | None = None
    temporary: bool = False


class ArtifactSink(Protocol):
    """Where an engine hands outputs over as they appear.

    Both calls answer at once with the file name and do the encoding and the upload on other threads; a failure there
    is reported when the job is delivered.
    """

    def picture(self, picture: Picture) -> str: ...

    def file(self, output: FileOutput) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """One job as an engine sees it. `extra_pnginfo` is what pictures carry beside the graph.

    `previews`: whether progress shall carry preview pictures, which cost nothing where it shall not.
    """

    job_id: str
    tenant: str
    files: JobFiles
    sink: ArtifactSink
    flag: CancelFlag
    on_progress: ProgressSink
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)
    api_key_comfy_org: str | None = field(default=None, repr=False)
    previews: bool = False


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What running a graph took. `node_ms` has the nodes that ran, `cached_nodes` those that did not need to."""

    cached_nodes: tuple[str, ...]
    node_ms: Mapping[str, float]
    load_ms: float


class Engine(Protocol):
    """Runs graphs in this process.

    `check` finds every problem of a graph before anything runs; `rehearse` is for those who only ask: it does not wait
    for the job at work, and may find less for it. `execute` runs a graph that `check` let pass, on the
    calling thread; it raises an error of the tree in runtime/errors.py, `Cancelled` and `TimedOut` within one sampling
    step of the flag, and leaves nothing behind that the next job could see. `free` gives memory back. For a memory
    snapshot `prepare` does what can be done without a device, and `attach`, in whatever process starts from it, the
    rest; an engine that is built where its device is needs neither.
    """

    name: str

    def object_info(self) -> Mapping[str, Any]:
        """The node types in ComfyUI's object_info form."""

    def knows(self, class_type: str) -> bool: ...

    def lacks(self, graph: Graph) -> Sequence[str]:
        """What the graph needs that the engine will never have, one line each; what its check finds is not among it."""

    def check(self, graph: Graph, files: JobFiles) -> CheckReport: ...

    def rehearse(self, graph: Graph, files: JobFiles) -> CheckReport: ...

    def execute(self, report: CheckReport, run: Run) -> Execution: ...

    def free(self) -> None: ...

    def warm(self, kind: str, name: str, *, tier: str | None = None) -> bool:
        """Load a model before a job asks for it, to `gpu` or `ram` (None: where there is room); False where no job of
        this engine would find it there. May be called from another thread. Raises what loading it does.
        """

    def prepare(self) -> None: ...

    def attach(self) -> None: ...

    def close(self) -> None:
        """End the engine's threads and remove its folders; it is not used after."""

    def health(self) -> Mapping[str, Any]:
        """How the engine is, for people to read."""


EngineFactory = Callable[[], Engine]
