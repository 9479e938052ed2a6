"""What clients ask before they send a job: which nodes there are, whether a graph is right, how long it will take."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runtime.artifacts.store import ArtifactStore
from runtime.clock import Clock
from runtime.errors import StateUnavailable
from runtime.graph.told_types import check_by_told
from runtime.graph.workflow import Graph, parse_workflow
from runtime.jobs.estimate import Estimate, estimate
from runtime.jobs.store import JobStore
from runtime.node_listing import Listed, read_listings
from runtime.rehearsal import in_api_format
from runtime.request import JobRequest

if TYPE_CHECKING:
    from runtime.graph.check import CheckReport

KEPT_S = 30.0
"""How long what workers told is believed before it is read again."""


class Adviser(Protocol):
    """Answers from any thread: `runtime.worker.Worker`, or `ToldAdviser` where no worker is in this process."""

    def object_info(self) -> Mapping[str, Any]:
        """The node types that graphs may be made of, in ComfyUI's object_info form."""

    def check(self, request: JobRequest, tenant: str) -> tuple[str, CheckReport]:
        """The engine that would run the request, and what is wrong with its graph."""

    def estimate(self, request: JobRequest, tenant: str) -> tuple[str, Estimate | None]:
        """The engine that would run the request, and how long the tenant's jobs like it took; None for none."""

    def convert(self, request: JobRequest) -> Mapping[str, Any]:
        """The request's workflow in API format, its overrides in place."""


class NothingTold(StateUnavailable):
    """The workers, all of them elsewhere, have not told yet what the answer needs."""


class ToldAdviser:
    """An `Adviser` by what workers elsewhere told of their nodes.

    Its check finds what is certainly wrong, and leaves values and files to the worker. Raises NothingTold until a
    worker has told of every engine that the answer may depend on, StorageUnavailable where that cannot be read.
    """

    def __init__(self, store: ArtifactStore, jobs: JobStore, *, clock: Clock, max_nodes: int) -> None:
        self._store = store
        self._jobs = jobs
        self._clock = clock
        self._max_nodes = max_nodes
        self._lock = threading.Lock()
        self._listed: Sequence[Listed] = ()
        self._read_at: float | None = None

    def object_info(self) -> Mapping[str, Any]:
        return self._types(None)

    def check(self, request: JobRequest, tenant: str) -> tuple[str, CheckReport]:
        graph = parse_workflow(self._laid_over(request, sends_unknown=True))
        engine = self._engine(graph, request.engine)
        return engine, check_by_told(graph, self._types(request.engine))

    def estimate(self, request: JobRequest, tenant: str) -> tuple[str, Estimate | None]:
        graph = parse_workflow(self._laid_over(request, sends_unknown=True))
        engine = self._engine(graph, request.engine)
        return engine, estimate(self._jobs, tenant, graph, engine=engine)

    def convert(self, request: JobRequest) -> Mapping[str, Any]:
        return self._laid_over(request, sends_unknown=False)

    def _laid_over(self, request: JobRequest, *, sends_unknown: bool) -> Mapping[str, Any]:
        def types_for(names: object) -> Mapping[str, Any]:
            return self._types(request.engine)

        return in_api_format(
            request, types_for, clock=self._clock, max_nodes=self._max_nodes, sends_unknown=sends_unknown
        )

    def _engine(self, graph: Graph, wish: str | None) -> str:
        """The engine that is wished for, else the first that has every node, else the one that the rest is left to."""
        if wish not in (None, "auto"):
            return str(wish)
        names = {node.class_type for node in graph.nodes.values()}
        listed = self._told()
        has_all = [name for told in listed for name in told.offered if names <= told.types.get(name, {}).keys()]
        if has_all:
            return has_all[0]
        if not all(told.is_whole for told in listed):
            raise NothingTold("an engine of this deployment has not run yet, and may have the nodes that are unknown")
        return listed[0].offered[-1]

    def _types(self, wish: str | None) -> Mapping[str, Any]:
        """The types of the engine that is wished for, else of all, the first one's before the others'."""
        found: dict[str, Any] = {}
        for told in reversed(self._told()):
            for name in reversed(told.offered):
                if wish in (None, "auto", name):
                    found.update(told.types.get(name, {}))
        if not found:
            raise NothingTold(f"engine {wish!r} has not run on a worker of this deployment yet")
        return found

    def _told(self) -> Sequence[Listed]:
        with self._lock:
            now = self._clock.monotonic()
            if self._read_at is None or not self._listed or now - self._read_at >= KEPT_S:
                self._listed = tuple(read_listings(self._store))
                self._read_at = now
            if not self._listed:
                raise NothingTold("no worker of this deployment has told of its nodes: each does after its first job")
            return self._listed
