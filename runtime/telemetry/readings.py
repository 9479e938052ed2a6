"""The gauges of a worker, read when somebody asks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime.telemetry import metrics
from runtime.telemetry.metrics import Reading

if TYPE_CHECKING:
    from runtime.worker import Worker


def readings_of(worker: Worker) -> Iterator[Reading]:
    """What the worker holds now: models by tier, results of nodes, the GPU's memory. From any thread; loads nothing."""
    yield Reading(metric=metrics.JOBS_RUNNING, value=worker.running)
    native = worker.health()["engines"].get("native", {})
    if "node_cache_bytes" in native:
        yield Reading(metric=metrics.NODE_CACHE_BYTES, value=native["node_cache_bytes"])
    if (models := native.get("models")) is not None:
        for tier, size in models["bytes"].items():
            yield Reading(metric=metrics.MODEL_CACHE_BYTES, value=size, labels=(str(getattr(tier, "value", tier)),))
        for result, name in (("hit", "hits"), ("return", "returns"), ("miss", "misses")):
            yield Reading(metric=metrics.MODEL_CACHE_ASKED, value=models[name], labels=(result,))
        for result, name in (("return", "return_s"), ("miss", "miss_s")):
            yield Reading(metric=metrics.MODEL_LOAD_SECONDS, value=models[name], labels=(result,))
        yield Reading(metric=metrics.MODEL_CACHE_DROPS, value=models["drops"])
    yield from _gpu_memory()


def _gpu_memory() -> Iterator[Reading]:
    torch = sys.modules.get("torch")  # where nothing has imported it yet, nothing is on a GPU
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return
    free, total = torch.cuda.mem_get_info()
    for kind, size in (("total", total), ("free", free), ("allocated", torch.cuda.memory_allocated())):
        yield Reading(metric=metrics.GPU_MEMORY_BYTES, value=size, labels=(kind,))
