"""One attempt at a job: from its inputs to its outputs in the store, with the time that each part took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.artifacts.delivery import Delivered, Delivery, Place
from runtime.artifacts.kept import Kept
from runtime.cancellation import CancelFlag
from runtime.clock import epoch_s
from runtime.errors import ServerlessError, StorageUnavailable
from runtime.fetch.uploads import UploadAccess
from runtime.graph.incoming import Incoming, read_incoming
from runtime.graph.likeness import likeness_of
from runtime.graph.overrides import apply_overrides, seeds_of
from runtime.graph.workflow import Graph, parse_workflow
from runtime.inputs import fetch_inputs, is_known
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobRecord, Outcome, Status, StoredOutput, Timings
from runtime.progress import ProgressSink
from runtime.request import JobRequest
from runtime.telemetry.traces import span
from runtime.workspace import Workspace

if TYPE_CHECKING:
    from runtime.engines.protocol import Engine, Execution
    from runtime.graph.check import CheckReport
    from runtime.worker import Parts


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How an attempt ended: what the store shall keep, and the outputs with their bytes where they are wanted."""

    outcome: Outcome
    delivered: Sequence[Delivered] = ()

    def warned(self, warning: str) -> Finished:
        """The same with one more warning."""
        return replace(self, outcome=replace(self.outcome, warnings=(*self.outcome.warnings, warning)))


class Stopwatch:
    """Milliseconds of each part of an attempt."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self.parts: dict[str, float] = {}

    def lap(self, part: str) -> None:
        """What passed since the last lap belongs to `part`."""
        now = time.perf_counter()
        self.parts[part] = self.parts.get(part, 0.0) + (now - self._last) * 1000
        self._last = now

    def total(self) -> float:
        return (time.perf_counter() - self._began) * 1000


class Attempt:
    """Runs one claimed job once."""

    def __init__(self, parts: Parts, request: JobRequest, claim: Claim, flag: CancelFlag) -> None:
        self.request = request
        self.job_id = claim.record.job_id
        self._tenant = claim.record.tenant
        self._kept_name = _kept_name(request, claim.record)
        self._is_kept = False
        self._queue_ms = _queue_ms(claim.record)
        self._parts = parts
        self._flag = flag
        self._watch = Stopwatch()
        self._engine: Engine | None = None
        self._read: Incoming | None = None
        place = Place(user=self._tenant, job_id=self.job_id, token=claim.fencing_token)
        keep_data = (request.output.delivery or parts.delivery) == "base64"
        self._delivery = Delivery(parts.artifacts, place, request.output, parts.uploads, flag, keep_data=keep_data)

    def execute(self, on_progress: ProgressSink) -> Finished:
        """Walk the way of the job. Raises an error of the tree; `discard` then takes back what was uploaded."""
        parts = self._parts
        if (kept := parts.kept.find(self._kept_name)) is not None:
            return self._deliver_kept(kept)
        with Workspace(root=parts.workspace_root, shared_inputs=parts.shared_inputs) as workspace:
            with span("resolve"):
                fetch_inputs(
                    self.request.images,
                    workspace,
                    cancel=self._flag,
                    limits=parts.limits,
                    web=parts.web,
                    s3=replace(parts.s3, user=self._tenant) if parts.s3 else None,
                    uploads=UploadAccess(store=parts.artifacts, tenant=self._tenant),
                )
            with parts.models.ensure(self._graph(), self._flag, on_progress) as graph:
                engine, report, execution = self._run(graph, workspace, on_progress)
            with span("deliver"):
                delivered = self._deliver(engine.name, report.warnings)
        self._watch.lap("deliver")
        return self._completed(graph, execution, delivered, report.warnings)

    def _run(
        self, graph: Graph, workspace: Workspace, on_progress: ProgressSink
    ) -> tuple[Engine, CheckReport, Execution]:
        """Check the graph, whose models are there now, and run it."""
        from runtime.engines.protocol import Run

        self._engine = engine = self._parts.engines.choose(graph, self.request.engine)
        report = engine.check(graph, workspace)
        report.raise_if_rejected()
        self._watch.lap("resolve")
        run = Run(
            job_id=self.job_id,
            tenant=self._tenant,
            files=workspace,
            sink=self._delivery,
            flag=self._flag,
            on_progress=on_progress,
            extra_pnginfo={**self._incoming().extra_pnginfo, **self.request.extra_pnginfo},
            api_key_comfy_org=self._api_key(),
            previews=self.request.previews,
        )
        with span("execute", engine=engine.name):
            execution = engine.execute(report, run)
        self._watch.lap("execute")
        return engine, report, execution

    def failed(self, exc: ServerlessError) -> Finished:
        """The end that `exc` means."""
        engine = self._engine.name if self._engine else None
        return Finished(outcome=Outcome.of(exc, engine=engine, timings_ms=self._timings({}, 0.0)))

    def discard(self) -> None:
        """Take back what this attempt uploaded, unless its outputs are kept for the next one."""
        if not self._is_kept:
            self._delivery.discard()

    def _deliver(self, engine: str, warnings: Sequence[str]) -> list[Delivered]:
        """Wait for the outputs to lie in the store; where it does not take them, keep them."""
        try:
            delivered = self._delivery.finish()
        except StorageUnavailable:
            unsent = self._delivery.unsent()
            if unsent is not None:
                kept = Kept(engine=engine, warnings=tuple(warnings), outputs=tuple(unsent))
                self._is_kept = self._parts.kept.keep(self._kept_name, kept)
            raise
        self._flag.check()
        return delivered

    def _deliver_kept(self, kept: Kept) -> Finished:
        """Deliver what an earlier attempt at the same request has computed; nothing is computed again."""
        self._parts.kept.deliver(self._kept_name, kept, self._delivery)
        delivered = self._delivery.finish()
        self._flag.check()
        self._parts.kept.forget(self._kept_name)
        self._watch.lap("deliver")
        outcome = Outcome(
            status=Status.COMPLETED,
            engine=kept.engine,
            outputs=tuple(map(_stored, delivered)),
            timings_ms=self._timings({}, 0.0),
            seed_used=seeds_of(self._graph().source),
            warnings=(*kept.warnings, "the outputs are those of an earlier attempt, which could not deliver them"),
        )
        return Finished(outcome=outcome, delivered=delivered)

    def _graph(self) -> Graph:
        """The request's graph, with its overrides in place."""
        workflow = self._incoming().workflow
        if self.request.overrides and isinstance(workflow, Mapping):
            workflow = apply_overrides(workflow, self.request.overrides)
        return parse_workflow(workflow)

    def _incoming(self) -> Incoming:
        """The request's workflow, read once."""
        if self._read is None:
            engines = self._parts.engines
            self._read = read_incoming(
                self.request.workflow,
                lambda types: engines.choose_for(types, self.request.engine).object_info(),
                seed=self.job_id,
                max_nodes=self._parts.max_nodes,
                sends_unknown=True,  # the engine's check says why it has them not
            )
        return self._read

    def _api_key(self) -> str | None:
        given = self.request.comfy_org_api_key
        return given.get_secret_value() if given else self._parts.comfy_org_api_key

    def _completed(
        self, graph: Graph, execution: Execution, delivered: Sequence[Delivered], warnings: Sequence[str]
    ) -> Finished:
        timings = self._timings(execution.node_ms, execution.load_ms)
        return Finished(
            outcome=Outcome(
                status=Status.COMPLETED,
                engine=self._engine.name if self._engine else None,
                gpu_seconds=round((timings.execute + timings.load) / 1000, 3),
                outputs=tuple(map(_stored, delivered)),
                timings_ms=timings,
                cached_nodes=execution.cached_nodes,
                seed_used=seeds_of(graph.source),
                likeness=likeness_of(graph),
                warnings=tuple(warnings),
            ),
            delivered=delivered,
        )

    def _timings(self, node_ms: Mapping[str, float], load_ms: float) -> Timings:
        parts = self._watch.parts
        return Timings(
            queue=self._queue_ms,
            resolve=round(parts.get("resolve", 0.0), 3),
            load=round(load_ms, 3),
            execute=round(max(0.0, parts.get("execute", 0.0) - load_ms), 3),
            deliver=round(parts.get("deliver", 0.0), 3),
            total=round(self._watch.total(), 3),
            nodes={id: round(ms, 3) for id, ms in node_ms.items()},
        )


def _kept_name(request: JobRequest, record: JobRecord) -> str:
    """By what another job of the same request finds kept outputs: none does where an input's content is not known."""
    name = f"{record.tenant}.{record.request_sha256}"
    return name if all(map(is_known, request.images)) else f"{name}.{record.job_id}"


def _queue_ms(record: JobRecord) -> float:
    """How long the job was there before this attempt began."""
    if record.started_at is None or record.started_at == record.created_at:
        return 0.0
    return round((epoch_s(record.started_at) - epoch_s(record.created_at)) * 1000, 3)


def _stored(delivered: Delivered) -> StoredOutput:
    return StoredOutput(
        node_id=delivered.node_id,
        kind=delivered.kind,
        filename=delivered.name.rpartition("/")[2],
        key=delivered.key,
        content_type=delivered.content_type,
        size_bytes=delivered.size_bytes,
        sha256=delivered.sha256,
        width=delivered.width,
        height=delivered.height,
        subfolder=delivered.name.rpartition("/")[0],
        temporary=delivered.temporary,
    )
