"""Wires a worker from settings: the one place that chooses between embedded parts and the cloud's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from runtime.clock import Clock, SystemClock
from runtime.engines.choice import Engines
from runtime.fetch.access import WebAccess
from runtime.heartbeat import Heartbeat
from runtime.ids import new_worker_id
from runtime.inputs import InputLimits
from runtime.settings import Settings
from runtime.worker import Parts, Worker

if TYPE_CHECKING:
    pass

_UPLOAD_THREADS = 4


def build(settings: Settings, *, delivery: str | None = None, clock: Clock | None = None) -> Worker:
    """A worker with the stores and engines that the settings name.

    `delivery` is how outputs come back where a request does not say: `url` or `base64`; a bucket always means `url`.
    Nothing is connected to before the first job.
    """
    clock = clock or SystemClock()
    artifacts = build_artifacts(settings)
    jobs = build_jobs(settings, clock, artifacts)
    parts = Parts(
        engines=Engines({"native": lambda: build_native(settings)}, default=settings.engine),
        jobs=jobs,
        artifacts=artifacts,
        heartbeat=Heartbeat(jobs, clock),
        uploads=ThreadPoolExecutor(_UPLOAD_THREADS, thread_name_prefix="upload"),
        clock=clock,
        worker_id=new_worker_id(),
        tenant=settings.tenant,
        delivery="url" if settings.s3_bucket else delivery or "url",
        limits=InputLimits(file_bytes=settings.max_file_size),
        web=WebAccess(allow_private=settings.allow_private_urls),
        s3=_s3_access(settings),
        workspace_root=settings.workspace_path,
        shared_inputs=[settings.input_path] if settings.input_path else [],
        max_timeout_s=settings.max_timeout_s,
        comfy_org_api_key=settings.comfy_org_api_key.get_secret_value() if settings.comfy_org_api_key else None,
    )
    return Worker(parts)
