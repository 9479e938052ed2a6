"""What the API is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.api.accounts import Accounts
from runtime.api.advice import ToldAdviser
from runtime.api.batches import Batches
from runtime.api.dispatch.seal import Seal
from runtime.api.events import EventHub
from runtime.api.executions import Executions
from runtime.api.keys import ApiKeys
from runtime.api.rates import RateLimits
from runtime.api.streams import Streams
from runtime.api.templates import Templates
from runtime.api.worker_here import WorkerHere
from runtime.artifacts.file_responder import FileResponder
from runtime.artifacts.store import ArtifactStore
from runtime.clock import Clock
from runtime.documents.store import DocumentStore
from runtime.jobs.store import JobStore
from runtime.telemetry.metrics import NOBODY, Recorder
from runtime.telemetry.prometheus import PrometheusRecorder


@dataclass(frozen=True, kw_only=True)
class ApiParts:
    """`accounts` None: no token is asked for, and whoever calls is `tenant`. `files`: the folder that answers links.

    `models` gives the models' names by kind. `worker` is the one in this process, None where there is none: `told` is
    then what those elsewhere say of their nodes.
    """

    executions: Executions
    batches: Batches
    templates: Templates
    events: EventHub
    jobs: JobStore
    artifacts: ArtifactStore
    documents: DocumentStore
    accounts: Accounts | None
    keys: ApiKeys
    rates: RateLimits
    streams: Streams
    clock: Clock
    tenant: str
    seal: Seal
    max_body_bytes: int
    max_file_bytes: int
    files: FileResponder | None = None
    worker: WorkerHere | None = None
    told: ToldAdviser | None = None
    models: Callable[[], Mapping[str, Any]] | None = None
    depth: Callable[[], int] | None = None
    free: Callable[[], None] | None = None
    """Has the worker give memory back."""
    registration: bool = True
    cors_origins: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    here_alone: bool = False
    """Whether only this machine reaches the API: then no other name than its own is answered to without tokens."""
    docs: bool = True
    redoc: bool = True
    title: str = "ComfyUI Serverless"
    recorder: Recorder = NOBODY
    prometheus: PrometheusRecorder | None = None
    metrics_token: str | None = field(default=None, repr=False)
