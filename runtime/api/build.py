"""Wires the HTTP API and the worker in its process from settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from runtime.api.accounts import Accounts
from runtime.api.advice import ToldAdviser
from runtime.api.batches import Batches
from runtime.api.dispatch.build import LOCAL, build_remote, build_routes, build_seal, names_of
from runtime.api.dispatch.local import LocalDispatcher
from runtime.api.events import EventHub
from runtime.api.executions import Executions
from runtime.api.keys import ApiKeys
from runtime.api.parts import ApiParts
from runtime.api.quotas import Quotas
from runtime.api.rates import DAY_S, HOUR_S, MINUTE_S, RateLimits
from runtime.api.result_cache import ResultCache
from runtime.api.streams import Streams
from runtime.api.templates import Templates
from runtime.api.worker_here import WorkerHere
from runtime.artifacts.file_responder import FileResponder
from runtime.artifacts.local import FolderArtifactStore
from runtime.artifacts.previews import stored_preview
from runtime.aws import AwsAccess
from runtime.build import build_artifacts, build_jobs
from runtime.clock import Clock, SystemClock
from runtime.documents.store import DocumentStore
from runtime.errors import SettingsInvalid
from runtime.fetch.access import WebAccess
from runtime.fitness import ready_worker
from runtime.gpu_allocator import choose_allocator
from runtime.gpu_thread import GpuThread
from runtime.jobs.store import JobStore
from runtime.models.file_identity import identity_of
from runtime.models.folders import KINDS, ModelFolders
from runtime.settings import Settings
from runtime.telemetry.metrics import JOBS_WAITING, Reading, Recorder, Recorders
from runtime.telemetry.prometheus import PrometheusRecorder
from runtime.telemetry.readings import readings_of
from runtime.telemetry.traces import start_tracing

if TYPE_CHECKING:
    from fastapi import FastAPI

_FORM_BYTES = 1 << 20


def build_documents(settings: Settings, clock: Clock) -> DocumentStore:
    """The table where one is named, else SQLite."""
    if settings.dynamodb_documents_table is None:
        from runtime.documents.sqlite import SqliteDocumentStore

        return SqliteDocumentStore(settings.data_path / "documents.db", clock=clock)
    from runtime.documents.dynamodb import DynamoDocumentStore

    access = AwsAccess(region=settings.aws_region, endpoint_url=settings.dynamodb_endpoint_url)
    return DynamoDocumentStore(settings.dynamodb_documents_table, access=access, clock=clock)


def build_api(settings: Settings, *, clock: Clock | None = None, here_alone: bool = False) -> FastAPI:
    """The app, with a worker in this process where DISPATCH names `local`: it begins to load at once, and ends with it.

    `here_alone`: it listens where only this machine reaches it.
    Raises SettingsInvalid where tokens must be asked for and nothing is there to sign them with, and for a dispatcher
    that lacks a setting.
    """
    from runtime.api.app import build_app

    if settings.secret_key is None and settings.environment == "production":
        raise SettingsInvalid("SECRET_KEY is not set: in production the HTTP API needs one (`openssl rand -hex 32`)")
    if settings.traces_endpoint is not None:
        start_tracing(settings.traces_endpoint)
    clock = clock or SystemClock()
    artifacts = build_artifacts(settings, clock)
    jobs = build_jobs(settings, clock, artifacts)
    documents = build_documents(settings, clock)
    folders = ModelFolders([settings.models_path])
    events = EventHub(lambda key: jobs.get(*key), find_preview=partial(stored_preview, artifacts))
    prometheus = PrometheusRecorder() if settings.enable_metrics else None
    recorder = Recorders([prometheus] if prometheus else [])
    dispatchers = build_remote(settings)
    local = _Local(settings, jobs, documents, clock, events, recorder) if LOCAL in names_of(settings) else None
    if local is not None:
        dispatchers[LOCAL] = local.dispatcher
    if prometheus is not None and local is not None:
        prometheus.read(local.readings)
    executions = Executions(
        jobs,
        artifacts,
        build_routes(settings, dispatchers),
        max_request_bytes=settings.max_request_size,
        web=WebAccess(allow_private=settings.allow_private_urls),
        signer=settings.webhook_signer,
        clock=clock,
        quotas=_quotas(settings, documents, jobs, clock),
        cache=ResultCache(
            documents,
            jobs,
            artifacts,
            partial(_files_named, folders, settings),
            clock=clock,
            ttl_s=settings.result_cache_ttl_s,
        ),
        recorder=recorder,
    )
    parts = ApiParts(
        executions=executions,
        batches=Batches(executions, documents, clock=clock),
        templates=Templates(documents, artifacts, clock=clock),
        events=events,
        jobs=jobs,
        artifacts=artifacts,
        documents=documents,
        accounts=_accounts(settings, documents, clock),
        keys=ApiKeys(documents, clock=clock),
        rates=_rates(settings, documents, clock),
        streams=Streams(settings.max_streams if settings.enable_rate_limiting else 0),
        clock=clock,
        tenant=settings.tenant,
        max_body_bytes=settings.max_request_size + _FORM_BYTES,
        max_file_bytes=settings.max_file_size,
        files=FileResponder(artifacts, clock=clock) if isinstance(artifacts, FolderArtifactStore) else None,
        models=lambda: {kind: folders.names(kind) for kind in KINDS},
        seal=build_seal(settings),
        worker=local.worker if local else None,
        told=None if local else ToldAdviser(artifacts, jobs, clock=clock, max_nodes=settings.max_nodes),
        depth=local.depth if local else None,
        free=local.gpu.free if local else None,
        registration=settings.registration,
        title=settings.api_title,
        cors_origins=settings.cors_origins if settings.enable_cors else (),
        trusted_hosts=settings.trusted_hosts,
        here_alone=here_alone,
        docs=settings.api_docs,
        redoc=settings.api_docs and settings.enable_redoc,
        recorder=recorder,
        prometheus=prometheus,
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
    )
    return build_app(parts, lifespan=_life(local, parts, settings.metrics_port))


class _Local:
    """The worker in this process, and the queue before it."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobStore,
        documents: DocumentStore,
        clock: Clock,
        events: EventHub,
        recorder: Recorder,
    ) -> None:
        choose_allocator(settings)
        self.worker = WorkerHere(partial(ready_worker, settings, recorder=recorder))
        self.gpu = GpuThread(self.worker.build, grace_s=settings.cancel_grace_s)
        self.dispatcher = LocalDispatcher(self.gpu, jobs, documents, clock=clock, on_event=events.note)

    def depth(self) -> int:
        return self.dispatcher.depth

    def readings(self) -> Iterator[Reading]:
        yield Reading(metric=JOBS_WAITING, value=self.dispatcher.depth)
        if self.worker.is_built:
            yield from readings_of(self.worker.worker)

    def close(self) -> None:
        self.dispatcher.close()
        self.gpu.close()


def _life(local: _Local | None, parts: ApiParts, metrics_port: int) -> Any:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        if local is not None:
            local.dispatcher.start()
        close_metrics = parts.prometheus.listen(metrics_port) if parts.prometheus and metrics_port else None
        try:
            yield
        finally:
            if close_metrics is not None:
                close_metrics()
            if local is not None:
                local.close()
            parts.jobs.close()
            parts.artifacts.close()
            parts.documents.close()

    return life


def _quotas(settings: Settings, documents: DocumentStore, jobs: JobStore, clock: Clock) -> Quotas:
    """An account's limits on jobs at work and on GPU seconds; none where limits are off."""
    most = (settings.max_running_jobs, settings.max_gpu_seconds_per_day) if settings.enable_rate_limiting else (0, 0)
    return Quotas(documents, jobs, clock=clock, max_running=most[0], max_gpu_s_per_day=most[1])


def _files_named(folders: ModelFolders, settings: Settings) -> Mapping[str, str]:
    """What changes whenever the file does, of all that a workflow can name: models, and files that every job reads."""
    shared = settings.input_path
    found = {} if shared is None else {path.relative_to(shared).as_posix(): path for path in shared.rglob("*")}
    return {**folders.identities(), **{name: identity_of(path) for name, path in found.items() if path.is_file()}}


def _accounts(settings: Settings, documents: DocumentStore, clock: Clock) -> Accounts | None:
    if settings.secret_key is None or settings.disable_auth:
        return None
    return Accounts(
        documents,
        secret_key=settings.secret_key.get_secret_value(),
        clock=clock,
        algorithm=settings.algorithm,
        access_token_s=settings.access_token_minutes * 60,
        refresh_token_s=settings.refresh_token_days * 86_400,
    )


def _rates(settings: Settings, documents: DocumentStore, clock: Clock) -> RateLimits:
    if not settings.enable_rate_limiting:
        return RateLimits(documents, {}, clock=clock)
    bounds: Mapping[int, int] = {
        MINUTE_S: settings.rate_limit_per_minute,
        HOUR_S: settings.rate_limit_per_hour,
        DAY_S: settings.rate_limit_per_day,
    }
    return RateLimits(documents, bounds, clock=clock)
