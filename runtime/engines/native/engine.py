"""The native engine: our own node classes and executor on torch, in the calling thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runtime.engines.limits import GraphLimits
from runtime.engines.native.cache import NodeCache
from runtime.engines.native.check_files import CheckFiles
from runtime.engines.native.executor import Executor
from runtime.engines.native.job import Job, fingerprint
from runtime.engines.native.keys import NodeKeys
from runtime.engines.native.lacks import Lacks
from runtime.engines.native.registry import NodeRegistry
from runtime.engines.protocol import Execution, JobFiles, Run
from runtime.errors import GraphRejected
from runtime.graph.check import CheckReport, check_graph
from runtime.graph.workflow import Graph

if TYPE_CHECKING:
    import torch

    from runtime.models.store import ModelStore


class NativeEngine:
    """Runs graphs of native nodes. `classes` are node classes by class_type; results of nodes are kept between jobs."""

    name = "native"

    def __init__(
        self,
        *,
        models: ModelStore,
        classes: Mapping[str, type],
        limits: GraphLimits,
        cache: NodeCache,
        device: Callable[[], torch.device] | None = None,
    ) -> None:
        """`device` finds the one to attach to, where the models were built without."""
        self._models = models
        self._types = NodeRegistry(classes)
        self._limits = limits
        self._cache = cache
        self._lacks = Lacks(self._types, models)
        self._device = device

    def knows(self, class_type: str) -> bool:
        """Whether a node class of that name is here."""
        return self._types.get(class_type) is not None

    def lacks(self, graph: Graph) -> Sequence[str]:
        """The node classes and model families of the graph that are not here, one line each."""
        return self._lacks.of(graph)

    def object_info(self) -> Mapping[str, Any]:
        """The node types in ComfyUI's object_info form, model combos with the names on the volume."""
        from runtime.engines.native.object_info import describe

        types = map(self._types.get, self._types.names())
        return {node_type.name: describe(node_type, self._models) for node_type in types if node_type is not None}

    def check(self, graph: Graph, files: JobFiles) -> CheckReport:
        """Find every problem of the graph. Raises GraphRejected for one over the limits."""
        if len(graph) > self._limits.max_nodes:
            raise GraphRejected(
                f"the workflow has {len(graph)} nodes; this deployment takes {self._limits.max_nodes} (MAX_NODES)"
            )
        return check_graph(graph, self._types, CheckFiles(self._models, files, self._limits))

    def rehearse(self, graph: Graph, files: JobFiles) -> CheckReport:
        """The same: it waits for nothing."""
        return self.check(graph, files)

    def execute(self, report: CheckReport, run: Run) -> Execution:
        """Run the graph's good outputs."""
        import torch

        job = Job(report.graph, run, self._types, self._models, self._limits, self.free)
        executor = Executor(
            report.graph.nodes,
            report.outputs,
            host=job,
            cache=self._cache,
            keys=NodeKeys(run.tenant, fingerprint, job.file_identity),
        )
        load_before = self._models.load_seconds
        with torch.inference_mode(), self._models.in_use():
            executor.run()
        return Execution(
            cached_nodes=tuple(executor.cached_nodes),
            node_ms=executor.node_ms,
            load_ms=(self._models.load_seconds - load_before) * 1000,
        )

    def warm(self, kind: str, name: str, *, tier: str | None = None) -> bool:
        """Load a model ahead, as `ModelStore.warm`."""
        import torch

        from runtime.models.held import Tier

        with torch.inference_mode():
            return self._models.warm(kind, name, tier=Tier(tier) if tier else None)

    def prepare(self) -> None:
        """Nothing more: it was built without a device where it shall be in a snapshot."""

    def attach(self) -> None:
        """Run models on the device from now on."""
        if self._device is not None:
            self._models.attach(self._device())

    def close(self) -> None:
        """Nothing: it runs on its caller's thread, and its memory goes with it."""

    def health(self) -> Mapping[str, Any]:
        """The models in each tier, with what they take and what they took; the bytes of nodes' results."""
        return {
            "engine": self.name,
            "models": asdict(self._models.health()),
            "node_cache_bytes": self._cache.size_bytes,
        }

    def free(self) -> None:
        """Forget kept results and every model."""
        self._cache.clear()
        self._models.free()
