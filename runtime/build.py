"""Wires a worker from settings: the one place that chooses between embedded parts and the cloud's."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runtime.artifacts.kept import KeptOutputs
from runtime.artifacts.local import FolderArtifactStore
from runtime.aws import AwsAccess, client_config
from runtime.bucket import Bucket
from runtime.clock import Clock, SystemClock
from runtime.engines.choice import Engines
from runtime.engines.limits import GraphLimits
from runtime.errors import SettingsInvalid
from runtime.fetch.access import S3Access, WebAccess
from runtime.heartbeat import Heartbeat
from runtime.ids import new_worker_id
from runtime.inputs import InputLimits
from runtime.model_loader import ModelLoader
from runtime.models.sync.assembly import build_fetcher
from runtime.node_listing import NodeListing
from runtime.settings import Settings
from runtime.spool import Spool
from runtime.sweeper import Sweeper
from runtime.telemetry.context import ContextPool
from runtime.telemetry.metrics import NOBODY, Recorder
from runtime.webhooks.courier import Courier
from runtime.webhooks.sender import WebhookSender
from runtime.worker import Parts, Worker

if TYPE_CHECKING:
    import torch

    from runtime.api.dispatch.dispatcher import Dispatcher
    from runtime.artifacts.store import ArtifactStore
    from runtime.engines.comfyui.engine import ComfyEngine
    from runtime.engines.native.engine import NativeEngine
    from runtime.engines.protocol import EngineFactory
    from runtime.gpu_thread import GpuThread
    from runtime.jobs.store import JobStore
    from runtime.models.held import Limits
    from runtime.models.store import ModelStore
    from runtime.queue.consumer import Consumer
    from runtime.queue.sqs import SqsQueues

_UPLOAD_THREADS = 4
_INPUT_READ_TIMEOUT_S = 15.0
_WEBHOOK_READ_TIMEOUT_S = 10.0


def build(
    settings: Settings,
    *,
    engines: Engines | None = None,
    delivery: str | None = None,
    result_limit_bytes: int | None = None,
    clock: Clock | None = None,
    recorder: Recorder = NOBODY,
) -> Worker:
    """A worker with the stores and engines that the settings name, or with the `engines` of a snapshot.

    `delivery` is how outputs come back where a request does not say: `url` or `base64`; a bucket always means `url`.
    With a bucket, outputs that would make a result larger than `result_limit_bytes` come as links all the same.
    Nothing is connected to before the first job. Raises SettingsInvalid for a device or a library that is not here.
    """
    clock = clock or SystemClock()
    _require_boto3(settings)
    _require_device(settings.device)
    artifacts = build_artifacts(settings, clock)
    jobs = build_jobs(settings, clock, artifacts)
    spool = Spool(jobs, artifacts, _disk(settings, "spool"))
    engines = engines or build_engines(settings)
    models = build_fetcher(settings, bucket_access(settings, settings.bucket))
    uploads = ContextPool(_UPLOAD_THREADS, thread_name_prefix="upload")
    parts = Parts(
        engines=engines,
        jobs=jobs,
        artifacts=artifacts,
        heartbeat=Heartbeat(jobs, clock, grace_s=settings.cancel_grace_s, chores=spool.apply),
        spool=spool,
        kept=KeptOutputs(_disk(settings, "kept"), artifacts, clock),
        webhooks=WebhookSender(_courier(settings, jobs, artifacts, clock)),
        webhook_signer=settings.webhook_signer,
        uploads=uploads,
        clock=clock,
        worker_id=new_worker_id(),
        tenant=settings.tenant,
        delivery="url" if settings.bucket else delivery or "url",
        models=models,
        loader=ModelLoader(engines, models),
        warmup_workflow=settings.warmup_workflow,
        result_limit_bytes=result_limit_bytes if settings.bucket else None,
        limits=InputLimits(file_bytes=settings.max_file_size),
        web=WebAccess(allow_private=settings.allow_private_urls),
        s3=_s3_access(settings),
        workspace_root=settings.workspace_path,
        shared_inputs=[settings.input_path] if settings.input_path else [],
        max_timeout_s=settings.max_timeout_s,
        max_request_bytes=settings.max_request_size,
        max_nodes=settings.max_nodes,
        comfy_org_api_key=settings.comfy_org_api_key.get_secret_value() if settings.comfy_org_api_key else None,
        listing=NodeListing(artifacts, uploads, deployment=settings.deployment) if settings.bucket else None,
        recorder=recorder,
    )
    return Worker(parts)


def build_sweeper(settings: Settings, *, clock: Clock | None = None) -> Sweeper:
    """A sweeper of the stores that the settings name. Raises SettingsInvalid for a library that is not here."""
    clock = clock or SystemClock()
    _require_boto3(settings)
    artifacts = build_artifacts(settings, clock)
    jobs = build_jobs(settings, clock, artifacts)
    return Sweeper(
        jobs=jobs,
        clock=clock,
        artifacts=artifacts,
        courier=_courier(settings, jobs, artifacts, clock),
        dispatchers=_dispatchers(settings),
    )


def _dispatchers(settings: Settings) -> Mapping[str, Dispatcher]:
    """By backend, those that a sweeper can send a job with: the local one is the API process's own."""
    from runtime.api.dispatch.build import build_remote
    from runtime.queue.dispatcher import SqsDispatcher

    queues = {"sqs": SqsDispatcher(build_queues(settings))} if settings.sqs_queue_url else {}
    return {**queues, **build_remote(settings)}


def build_queues(settings: Settings) -> SqsQueues:
    """The queues that the settings name. Raises SettingsInvalid where they name none."""
    from runtime.queue.sqs import SqsQueues

    normal = settings.sqs_queue_url
    if normal is None:
        raise SettingsInvalid("SQS_QUEUE_URL is not set; expected the queue that jobs wait in")
    _require_boto3(settings)
    return SqsQueues(
        {"high": settings.sqs_high_queue_url or normal, "normal": normal, "low": settings.sqs_low_queue_url or normal},
        dead_letter_url=settings.sqs_dead_letter_url,
        access=AwsAccess(region=settings.aws_region, endpoint_url=settings.sqs_endpoint_url),
    )


def build_consumer(settings: Settings, gpu: GpuThread, *, clock: Clock | None = None) -> Consumer:
    """What takes jobs from the queues of the settings to `gpu`. Raises SettingsInvalid where a queue is not named."""
    from runtime.queue.consumer import Consumer

    queues = build_queues(settings)
    if settings.sqs_dead_letter_url is None:
        raise SettingsInvalid("SQS_DEAD_LETTER_URL is not set; expected the queue for messages that are no requests")
    return Consumer(queues, gpu, tenant=settings.tenant, clock=clock or SystemClock())


def build_engines(settings: Settings, *, deferred: bool = False) -> Engines:
    """The native engine, and ComfyUI where the settings name a checkout; each is built when it is first needed.

    `deferred` is for a memory snapshot: no GPU is touched before they are attached.
    """
    factories: dict[str, EngineFactory] = {"native": lambda: build_native(settings, deferred=deferred)}
    if settings.comfyui_path is not None:
        factories["comfyui"] = lambda: build_comfyui(settings)
    return Engines(factories, default=settings.engine)


def build_comfyui(settings: Settings) -> ComfyEngine:
    """The engine that runs the settings' ComfyUI checkout in this process. Raises SettingsInvalid without one."""
    from runtime.engines.comfyui.engine import ComfyEngine, ComfyOptions
    from runtime.engines.comfyui.placement import Placement

    if settings.comfyui_path is None:
        raise SettingsInvalid("COMFYUI_PATH is not set; expected the folder of a ComfyUI checkout")
    return ComfyEngine(
        ComfyOptions(
            checkout=settings.comfyui_path,
            models=settings.models_path,
            placement=Placement(
                device=settings.device,
                dtype=settings.dtype,
                memory_fraction=settings.gpu_memory_fraction,
                reserved_gb=settings.reserved_vram_gb,
                offloads=settings.enable_model_offload,
            ),
            custom_nodes=settings.comfyui_custom_nodes_path,
            arguments=shlex.split(settings.comfyui_args),
            cache_nodes=settings.comfyui_cache_nodes,
            cache_bytes=int(settings.node_cache_gb * 1e9),
            loads_api_nodes=settings.comfyui_api_nodes,
            limits=_graph_limits(settings),
        )
    )


def build_native(
    settings: Settings, *, extra_classes: Mapping[str, type] | None = None, deferred: bool = False
) -> NativeEngine:
    """The native engine on the device that the settings name, with their further node classes."""
    from runtime.engines.native.cache import NodeCache
    from runtime.engines.native.engine import NativeEngine
    from runtime.engines.native.registry import load_node_folder
    from runtime.nodes import node_classes

    further = load_node_folder(settings.native_nodes_path) if settings.native_nodes_path else {}
    return NativeEngine(
        models=build_models(settings, deferred=deferred),
        classes={**node_classes(), **further, **(extra_classes or {})},
        limits=_graph_limits(settings),
        cache=NodeCache(int(settings.node_cache_gb * 1e9) if settings.enable_model_caching else 0),
        device=lambda: _device(settings.device),
    )


def _graph_limits(settings: Settings) -> GraphLimits:
    return GraphLimits(
        max_nodes=settings.max_nodes,
        max_pixels=settings.max_pixels,
        max_batch=settings.max_batch,
        max_steps=settings.max_steps,
    )


def build_models(settings: Settings, *, deferred: bool = False) -> ModelStore:
    """The models of the settings' folder, loaded to their device; where it is `deferred`, to RAM in its place."""
    from runtime.models.folders import ModelFolders
    from runtime.models.store import ModelStore

    return ModelStore(
        ModelFolders([settings.models_path]),
        device=_device("cpu" if deferred else settings.device),
        for_gpu=deferred and settings.device != "cpu",
        dtype=_dtype(settings.dtype),
        limits=_model_limits(settings),
    )


def _model_limits(settings: Settings) -> Limits:
    from runtime.models.held import Limits

    return Limits(
        gpu_bytes=settings.max_gpu_memory_gb * 1e9 or math.inf,
        gpu_fraction=settings.gpu_memory_fraction,
        total_bytes=(settings.model_cache_gb * 1e9 or math.inf) if settings.enable_model_caching else 1,
        offload=settings.enable_model_offload,
    )


def build_artifacts(settings: Settings, clock: Clock | None = None) -> ArtifactStore:
    """The bucket where one is named, else the folder."""
    bucket = settings.bucket
    if bucket is None:
        folder = settings.output_path or settings.data_path / "artifacts"
        return FolderArtifactStore(folder, base_url=settings.public_url, clock=clock)
    from runtime.artifacts.s3 import S3ArtifactStore

    return S3ArtifactStore(
        bucket.name,
        access=bucket_access(settings, bucket),
        public_endpoint_url=settings.s3_public_endpoint_url,
        clock=clock,
    )


def build_jobs(settings: Settings, clock: Clock, artifacts: ArtifactStore) -> JobStore:
    """The table where one is named, else SQLite; what is too large for an item goes to `artifacts`."""
    if settings.dynamodb_table is None:
        from runtime.jobs.sqlite import SqliteJobStore

        return SqliteJobStore(settings.data_path / "jobs.db", clock=clock)
    from runtime.jobs.dynamodb import DynamoJobStore

    access = AwsAccess(region=settings.aws_region, endpoint_url=settings.dynamodb_endpoint_url)
    return DynamoJobStore(settings.dynamodb_table, access=access, blobs=artifacts, clock=clock)


def _disk(settings: Settings, name: str) -> FolderArtifactStore:
    """A folder of the worker's own, for what a store does not take."""
    return FolderArtifactStore(settings.data_path / name, base_url=settings.public_url)


def _courier(settings: Settings, jobs: JobStore, artifacts: ArtifactStore, clock: Clock) -> Courier:
    return Courier(
        jobs=jobs,
        artifacts=artifacts,
        signer=settings.webhook_signer,
        access=WebAccess(allow_private=settings.allow_private_urls, read_timeout_s=_WEBHOOK_READ_TIMEOUT_S),
        clock=clock,
    )


def bucket_access(settings: Settings, bucket: Bucket | None) -> AwsAccess:
    """Where and as whom the bucket is reached; with None, S3 as boto3 finds it."""
    key, secret = settings.bucket_access_key_id, settings.bucket_secret_access_key
    return AwsAccess(
        region=bucket.region if bucket else settings.aws_region,
        endpoint_url=bucket.endpoint_url if bucket else None,
        access_key_id=key.get_secret_value() if key else None,
        secret_access_key=secret.get_secret_value() if secret else None,
    )


def _s3_access(settings: Settings) -> S3Access | None:
    bucket = settings.bucket
    if bucket is None and not settings.input_s3_allow:
        return None
    access = bucket_access(settings, bucket)

    def client() -> Any:
        config = client_config(read_timeout_s=_INPUT_READ_TIMEOUT_S)
        return access.session.client("s3", endpoint_url=access.endpoint_url, config=config)

    return S3Access(
        client=client, allow=settings.input_s3_allow, bucket=bucket.name if bucket else None, user=settings.tenant
    )


def _require_boto3(settings: Settings) -> None:
    parts = {
        "S3_BUCKET": settings.bucket,
        "DYNAMODB_TABLE": settings.dynamodb_table,
        "SQS_QUEUE_URL": settings.sqs_queue_url,
    }
    named = [name for name, value in parts.items() if value]
    if named and find_spec("boto3") is None:
        raise SettingsInvalid(f"{' and '.join(named)} needs boto3, which is not installed: pip install -e '.[aws]'")


def _require_device(name: str) -> None:
    if not name.startswith("cuda"):
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (torch.device(name).index or 0) >= count:
        raise SettingsInvalid(f"DEVICE is {name!r}; torch {torch.__version__} finds {count} GPUs here")


def _device(name: str) -> torch.device:
    import torch

    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _dtype(name: str) -> torch.dtype | None:
    import torch

    return None if name == "auto" else getattr(torch, name)
