"""The worker: what it is made of, and what is asked of it. The way of a job is in course.py and attempt.py."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.artifacts.kept import KeptOutputs
from runtime.artifacts.store import ArtifactStore
from runtime.cancellation import CancelFlag
from runtime.clock import Clock
from runtime.course import TAKEN_OVER_S, Course
from runtime.engines.choice import Engines
from runtime.errors import Internal, InvalidRequest, ServerlessError
from runtime.fetch.access import S3Access, WebAccess
from runtime.graph.check import CheckReport
from runtime.heartbeat import Heartbeat
from runtime.held_folder import remove_left_folders
from runtime.ids import new_job_id
from runtime.inputs import InputLimits
from runtime.job_facts import facts_of
from runtime.jobs.estimate import Estimate
from runtime.jobs.record import Dispatch
from runtime.jobs.store import JobStore
from runtime.model_loader import ModelLoader
from runtime.models.fetcher import ModelFetcher
from runtime.node_listing import NodeListing
from runtime.progress import ProgressSink, ignore_progress
from runtime.reference import RequestReference, fetch_request
from runtime.rehearsal import estimated, laid_over, rehearse
from runtime.request import JobRequest, OutputOptions
from runtime.result import JobResult
from runtime.results import failed_result, recorded_result
from runtime.retries import Requeue
from runtime.spool import Spool
from runtime.telemetry.context import belonging_to
from runtime.telemetry.metrics import NOBODY, Recorder
from runtime.warm_up import warm_up
from runtime.webhooks.sender import WebhookSender
from runtime.webhooks.signature import Signer
from runtime.webhooks.target import target_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a worker is made of. `delivery` is how outputs come back where a request does not say.

    `listing` tells others of the nodes, None where nobody can read it.
    `result_limit_bytes` is the size from which on a result's outputs are links, whatever was asked; None for no end.
    """

    engines: Engines
    jobs: JobStore
    artifacts: ArtifactStore
    heartbeat: Heartbeat
    spool: Spool
    kept: KeptOutputs
    webhooks: WebhookSender
    webhook_signer: Signer
    uploads: Executor
    clock: Clock
    worker_id: str
    tenant: str
    delivery: str
    models: ModelFetcher
    loader: ModelLoader
    warmup_workflow: Path | None
    result_limit_bytes: int | None
    limits: InputLimits
    web: WebAccess
    s3: S3Access | None
    workspace_root: Path | None
    shared_inputs: Sequence[Path]
    max_timeout_s: float
    max_request_bytes: int
    max_nodes: int
    comfy_org_api_key: str | None = field(repr=False)
    listing: NodeListing | None = None
    recorder: Recorder = NOBODY


class Worker:
    """Runs jobs, one at a time, on the thread that calls `run`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.running = 0
        """How many jobs are in `run` now."""

    def run(
        self,
        request: JobRequest | RequestReference,
        *,
        cancel: CancelFlag | None = None,
        on_progress: ProgressSink = ignore_progress,
        dispatch: Dispatch | None = None,
        requeue: Requeue = "never",
        tenant: str | None = None,
    ) -> JobResult:
        """Run one job to its end and answer how it ended; what fails is a result too, never an exception.

        A job that its store already holds is not run again: the answer is what the store knows of it, with freshly
        signed links where it is completed. `cancel` ends the job within one sampling step, or hands it back where it
        is set with HandedBack.

        A result that has not ended (`has_ended`) is of a job that another worker holds, that was handed back or lost,
        that waits for its next attempt, or whose store could not be asked: its request must not be taken for done.
        `requeue` says who brings it again, and so whether an attempt that failed for a reason which may pass is made
        again; `retry_after_s` is then when. `dispatch` names the delivery, whose id is the job's where the request
        brings none: of a job that runs elsewhere, only the delivery that it began with is told by `"here"` to come
        again. `tenant` is whose job it is, by default the deployment's.
        """
        platform_job_id = dispatch.platform_job_id if dispatch else None
        job_id = request.job_id or platform_job_id or new_job_id(self._parts.clock.wall())
        tenant = tenant or self._parts.tenant
        flag = cancel or CancelFlag()
        with belonging_to(job_id=job_id, tenant=tenant):
            return self._run(request, job_id, tenant, flag, on_progress, dispatch, requeue)

    def _run(
        self,
        request: JobRequest | RequestReference,
        job_id: str,
        tenant: str,
        flag: CancelFlag,
        on_progress: ProgressSink,
        dispatch: Dispatch | None,
        requeue: Requeue,
    ) -> JobResult:
        self.running += 1
        try:
            if isinstance(request, RequestReference):
                reference = request
                try:
                    request = fetch_request(reference, self._parts, tenant, flag)
                except InvalidRequest:
                    if (standing := self._standing(reference, tenant, requeue)) is None:
                        raise
                    return standing
                job_id = request.job_id or job_id
            facts = facts_of(
                request,
                tenant=tenant,
                job_id=job_id,
                dispatch=dispatch,
                max_bytes=self._parts.max_request_bytes,
                webhook=target_of(request, self._parts.web, self._parts.webhook_signer),
            )
            return Course(self._parts, request, facts, flag=flag, on_progress=on_progress, requeue=requeue).run()
        except ServerlessError as exc:
            return failed_result(job_id, exc)
        except Exception as exc:  # a store's own defect: whoever asked shall hear of it, and the worker serve the next
            _log.exception("job %s failed", job_id)
            return failed_result(job_id, Internal(f"{type(exc).__name__}: {exc}"))
        finally:
            self.running -= 1
            self._tell_nodes()

    def _standing(self, reference: RequestReference, tenant: str, requeue: Requeue) -> JobResult | None:
        """How a job stands or ended that is named by its id alone, and whose request is not stored; else None."""
        parts = self._parts
        record = parts.jobs.get(tenant, reference.job_id or "") if reference.is_job_id_alone else None
        if record is None:
            return None
        result = recorded_result(
            record, parts.artifacts, OutputOptions(), parts.delivery, limit_bytes=parts.result_limit_bytes
        )
        if result.has_ended or requeue != "anywhere":
            return result
        return result.model_copy(update={"retry_after_s": TAKEN_OVER_S})

    def object_info(self) -> Mapping[str, Any]:
        """The node types that graphs may be made of, in ComfyUI's object_info form. From any thread."""
        return self._parts.engines.object_info()

    def free(self) -> None:
        """Give back the memory that no job uses. On the thread that runs jobs."""
        self._parts.engines.free()

    def rest(self) -> None:
        """Nothing waits: do what was put off. On the thread that runs jobs."""
        if self._parts.listing is not None:
            for name in self._parts.engines.offered:
                self._parts.engines.get(name)
            self._tell_nodes()

    def _tell_nodes(self) -> None:
        if self._parts.listing is not None:
            self._parts.listing.tell(self._parts.engines)

    def check(self, request: JobRequest, tenant: str) -> tuple[str, CheckReport]:
        """What would become of the request: see `rehearsal.rehearse`. From any thread."""
        return rehearse(self._parts, request, tenant)

    def estimate(self, request: JobRequest, tenant: str) -> tuple[str, Estimate | None]:
        """How long the request will take, and on which engine: see `rehearsal.estimated`. From any thread."""
        return estimated(self._parts, request, tenant)

    def convert(self, request: JobRequest) -> Mapping[str, Any]:
        """The request's workflow in API format, its overrides in place. From any thread."""
        return laid_over(self._parts, request)

    def prepare(self) -> None:
        """Do what the first job would pay for: connections, engine, the manifest's marked models, a warm-up workflow.

        Models are loaded while the stores are connected to. Raises SettingsInvalid for a warm-up that does not run.
        """
        parts = self._parts
        preloading = parts.loader.preload()
        remove_left_folders(parts.workspace_root)
        parts.jobs.prepare()
        parts.artifacts.prepare()
        parts.spool.recover()
        preloading.result()
        if parts.warmup_workflow is not None:
            warm_up(
                parts.engines,
                parts.warmup_workflow,
                workspace_root=parts.workspace_root,
                shared_inputs=parts.shared_inputs,
            )

    def expect(self, request: JobRequest | RequestReference) -> None:
        """A job that waits for its turn: begin to load the models that it names, beside the job at work."""
        if isinstance(request, JobRequest):
            self._parts.loader.expect(request)

    def health(self) -> Mapping[str, Any]:
        """How the worker is, for people to read: its versions, what became of the models that it preloads, its engines.

        From any thread; it loads nothing.
        """
        parts = self._parts
        return {
            "worker_id": parts.worker_id,
            "versions": _versions(),
            "preloaded": parts.loader.health(),
            "engines": parts.engines.health(),
        }

    def close(self) -> None:
        """End the worker's threads, uploads first, then its engines, and leave its stores."""
        self._parts.uploads.shutdown(wait=True)
        self._parts.webhooks.close()
        self._parts.heartbeat.close()
        self._parts.loader.close()
        self._parts.models.close()
        self._parts.engines.close()
        self._parts.jobs.close()
        self._parts.artifacts.close()


def _versions() -> dict[str, str]:
    torch = sys.modules.get("torch")  # not imported for this
    return {"python": platform.python_version(), **({"torch": str(torch.__version__)} if torch is not None else {})}
