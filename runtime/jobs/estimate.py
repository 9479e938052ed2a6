"""How long a graph will take, from how long graphs like it took."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.graph.likeness import likeness_of
from runtime.graph.workflow import Graph
from runtime.jobs.spread import Spread, spread_of
from runtime.jobs.statistics import duration_s
from runtime.jobs.store import JobStore

SAMPLES = 50


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long one engine took for the last of the completed jobs like this one, in seconds; `p50` is the estimate.

    Cold starts and results that came out of a cache are among them: they are the spread.
    """

    engine: str
    duration_s: Spread
    gpu_seconds: Spread


def estimate(store: JobStore, tenant: str, graph: Graph, *, engine: str) -> Estimate | None:
    """The estimate for `graph` on `engine` from at most SAMPLES jobs of the tenant; None where none was like it.

    One Query on DynamoDB, of some 2 read units. Raises StateUnavailable.
    """
    jobs = store.list_alike(tenant, engine, likeness_of(graph), limit=SAMPLES)
    duration = spread_of([duration_s(job) for job in jobs])
    gpu = spread_of([job.gpu_seconds for job in jobs])
    return Estimate(engine=engine, duration_s=duration, gpu_seconds=gpu) if duration and gpu else None
