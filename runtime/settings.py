"""Every setting of a worker, read from the environment once and checked whole before a GPU is touched."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, SecretStr, ValidationError

from runtime.bucket import Bucket, find_bucket
from runtime.dispatch_settings import DispatchSettings
from runtime.env_files import misspelt_in, read_environment, replaced_in
from runtime.errors import SettingsInvalid
from runtime.setting import Gigabytes, Names
from runtime.setting import setting as _from
from runtime.webhooks.signature import Signer

_log = logging.getLogger(__name__)

_BUNDLE = Path(__file__).resolve().parents[1]
_SHORTEST_SECRET = 32


class Settings(DispatchSettings):
    """One worker's settings. With none set, everything is embedded: SQLite, a folder, the native engine."""

    tenant: str = _from(
        "TENANT",
        default="default",
        help="whose jobs a direct invocation runs: letters, digits, _ and -",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    )

    engine: Literal["auto", "native", "comfyui"] = _from(
        "ENGINE", default="auto", help="which engine runs a graph; auto takes native where it has every node"
    )
    models_path: Path = _from(
        "COMFYUI_MODELS_PATH",
        "MODELS_PATH",
        default=_BUNDLE / "models",
        help="the models folder: checkpoints/, vae/, ...",
    )
    models_manifest: Path = _from(
        "MODELS_MANIFEST",
        default=_BUNDLE / "models_manifest.yaml",
        help="the file that says which models there are and where they come from",
    )
    deployment: str = _from(
        "DEPLOYMENT",
        default="default",
        help="which of the manifest's deployments this is: letters, digits, _, . and -",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
    )
    model_fetch: bool = _from(
        "MODEL_FETCH", default=True, help="fetch a model that a workflow names, the manifest has and the volume lacks"
    )
    model_url_hosts: Names = _from(
        "MODEL_URL_HOSTS",
        default=(),
        help="hosts, comma separated, that a workflow may name a model's URL of in the model's place",
    )
    max_model_url_gb: Gigabytes = _from(
        "MAX_MODEL_URL_SIZE_GB", default=20, help="GB (1e9 bytes) that a model from a workflow's URL may have"
    )
    models_volume_gb: Gigabytes = _from(
        "MODELS_VOLUME_SIZE_GB",
        default=0,
        help="GB (1e9 bytes) of models kept on the volume: those used longest ago make room; 0 for all it holds",
    )
    model_connections: int = _from(
        "MODEL_FETCH_CONNECTIONS", default=8, help="connections that one model is fetched on", ge=1, le=64
    )
    hf_endpoint: str = _from(
        "HF_ENDPOINT", default="https://huggingface.co", help="where hf:// sources are asked for", pattern=r"^https?://"
    )
    hf_token: SecretStr | None = _from("HF_TOKEN", default=None, help="for hf:// sources that are not public")
    civitai_endpoint: str = _from(
        "CIVITAI_ENDPOINT",
        default="https://civitai.com",
        help="where civitai:// sources are asked for",
        pattern=r"^https?://",
    )
    civitai_api_token: SecretStr | None = _from(
        "CIVITAI_API_TOKEN", default=None, help="for civitai:// sources that need an account"
    )
    warmup_workflow: Path | None = _from(
        "WARMUP_WORKFLOW", default=None, help="a workflow that is run, its outputs thrown away, before the first job"
    )
    native_nodes_path: Path | None = _from(
        "NATIVE_NODES_PATH", default=None, help="a folder of Python files with further native node classes"
    )
    comfyui_path: Path | None = _from(
        "COMFYUI_PATH", default=None, help="a ComfyUI checkout; the comfyui engine runs what native cannot"
    )
    comfyui_custom_nodes_path: Path | None = _from(
        "COMFYUI_CUSTOM_NODES_PATH", default=None, help="a folder of ComfyUI custom nodes beside the checkout's own"
    )
    comfyui_args: str = _from(
        "COMFYUI_ARGS", default="", help="further arguments for ComfyUI, as on its own command line"
    )
    comfyui_api_nodes: bool = _from(
        "COMFYUI_API_NODES", default=True, help="load ComfyUI's API nodes, which call paid services"
    )
    comfyui_cache_nodes: int = _from(
        "COMFYUI_CACHE_NODES", default=200, help="most node results that the comfyui engine keeps between jobs", ge=1
    )
    gpu_memory_fraction: float = _from(
        "GPU_MEMORY_FRACTION", default=1, help="the share of the GPU's memory that models may use", gt=0, le=1
    )
    max_gpu_memory_gb: Gigabytes = _from(
        "MAX_GPU_MEMORY_GB", default=0, help="GB (1e9 bytes) of native models kept on the GPU; 0 for what it holds"
    )
    reserved_vram_gb: Gigabytes = _from(
        "RESERVED_VRAM_GB", default=0, help="GB (1e9 bytes) of the GPU's memory that ComfyUI leaves free"
    )
    enable_model_offload: bool = _from(
        "ENABLE_MODEL_OFFLOAD",
        default=True,
        help="move models that no job uses to the CPU's memory when the GPU's is short",
    )
    device: str = _from("DEVICE", default="auto", help="auto, cpu, cuda or cuda:N", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    cuda_allocator: Literal["auto", "native", "async"] = _from(
        "CUDA_ALLOCATOR",
        default="auto",
        help="torch's allocator on an NVIDIA GPU: native, async (CUDA's pools), or auto: as ComfyUI where it may run",
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = _from(
        "DTYPE", default="auto", help="what weights run in; auto: float32 on a CPU, half precision on a GPU"
    )
    model_cache_gb: Gigabytes = _from(
        "MODEL_CACHE_SIZE_GB",
        default=0,
        help="GB (1e9 bytes) of models kept on GPU and in RAM together; 0 for what memory holds",
    )
    enable_model_caching: bool = _from(
        "ENABLE_MODEL_CACHING", default=True, help="keep models and results of nodes between native jobs"
    )
    node_cache_gb: Gigabytes = _from(
        "NODE_CACHE_SIZE_GB", default=1, help="GB (1e9 bytes) of node results kept between jobs"
    )

    input_path: Path | None = _from("INPUT_PATH", default=None, help="a folder of files that every job may read")
    workspace_path: Path | None = _from(
        "COMFYUI_TEMP_PATH", default=None, help="where jobs' private folders are made; by default the system's"
    )
    input_s3_allow: Names = _from(
        "INPUT_S3_ALLOW", default=(), help="s3://bucket/prefix, comma separated, that requests may read inputs from"
    )
    allow_private_urls: bool = _from(
        "ALLOW_PRIVATE_URLS",
        default=False,
        help="let inputs come from and webhooks go to private addresses, and webhooks by http; refused in production",
    )

    max_nodes: int = _from("MAX_NODES", default=20_000, help="most nodes of one workflow", ge=1)
    max_pixels: int = _from(
        "MAX_PIXELS", default=100_000_000, help="most pixels of one picture, and of one batch together", ge=64
    )
    max_batch: int = _from("MAX_BATCH", default=256, help="largest batch_size of one node", ge=1)
    max_steps: int = _from("MAX_STEPS", default=1_000, help="most sampling steps of one node", ge=1)
    max_request_size: int = _from(
        "MAX_REQUEST_SIZE", default=20_000_000, help="most bytes of one request, its input files apart", ge=1
    )
    max_file_size: int = _from("MAX_FILE_SIZE", default=100_000_000, help="most bytes of one input file", ge=1)
    cancel_grace_s: float = _from(
        "CANCEL_GRACE_S",
        default=30,
        help="seconds that a job has to stop before its end is recorded and the process ends",
        gt=0,
        allow_inf_nan=False,
    )
    max_timeout_s: float = _from(
        "MAX_TIMEOUT_S", default=3600, help="longest timeout_s that a request may ask", gt=0, allow_inf_nan=False
    )

    storage_type: Literal["auto", "local", "s3"] = _from(
        "STORAGE_TYPE", default="auto", help="where outputs go: s3, local, or auto: to S3_BUCKET where it is set"
    )
    output_path: Path | None = _from(
        "COMFYUI_OUTPUT_PATH", default=None, help="the folder for outputs without a bucket; artifacts/ of the next one"
    )
    data_path: Path = _from("STORAGE_BASE_PATH", default=_BUNDLE / "data", help="the embedded stores' folder")
    public_url: str = _from(
        "PUBLIC_URL",
        default="http://127.0.0.1:8000",
        help="where the embedded store's files are served; `serve` for this machine alone takes its own address",
    )
    s3_bucket: str | None = _from("S3_BUCKET", default=None, help="the bucket for outputs; without it, a folder")
    s3_endpoint_url: str | None = _from(
        "S3_ENDPOINT_URL", "BUCKET_ENDPOINT_URL", default=None, help="an S3-compatible store's address; none for AWS"
    )
    s3_public_endpoint_url: str | None = _from(
        "S3_PUBLIC_ENDPOINT_URL", default=None, help="the store's address as clients reach it, where it differs"
    )
    bucket_access_key_id: SecretStr | None = _from(
        "BUCKET_ACCESS_KEY_ID", default=None, help="the bucket's own key, where it is not AWS_ACCESS_KEY_ID"
    )
    bucket_secret_access_key: SecretStr | None = _from(
        "BUCKET_SECRET_ACCESS_KEY", default=None, help="the bucket's own secret key"
    )
    dynamodb_table: str | None = _from(
        "DYNAMODB_TABLE", default=None, help="the table for job state; without it, SQLite"
    )
    dynamodb_endpoint_url: str | None = _from(
        "DYNAMODB_ENDPOINT_URL", default=None, help="another address of DynamoDB, as in tests"
    )
    dynamodb_documents_table: str | None = _from(
        "DYNAMODB_DOCUMENTS_TABLE",
        default=None,
        help="the table for accounts, keys, rate limits; without it, SQLite",
    )
    sqs_queue_url: str | None = _from(
        "SQS_QUEUE_URL", default=None, help="the queue of the SQS worker's jobs; of those with priority normal"
    )
    sqs_high_queue_url: str | None = _from(
        "SQS_QUEUE_URL_HIGH", default=None, help="the queue of jobs with priority high; by default the same"
    )
    sqs_low_queue_url: str | None = _from(
        "SQS_QUEUE_URL_LOW", default=None, help="the queue of jobs with priority low; by default the same"
    )
    sqs_dead_letter_url: str | None = _from(
        "SQS_DEAD_LETTER_URL", default=None, help="the queue of messages that are no requests, or failed for good"
    )
    sqs_endpoint_url: str | None = _from("SQS_ENDPOINT_URL", default=None, help="another address of SQS, as in tests")
    aws_region: str | None = _from(
        "AWS_REGION", "AWS_DEFAULT_REGION", default=None, help="the region of bucket, table and queues"
    )

    enable_webhooks: bool = _from("ENABLE_WEBHOOKS", default=True, help="whether requests may ask for webhooks")
    webhook_secret: SecretStr | None = _from(
        "WEBHOOK_SECRET",
        default=None,
        help="signs webhooks: whsec_ and base64 of 24 to 64 bytes; several, by comma, while one replaces another",
    )

    refresh_worker: bool = _from(
        "REFRESH_WORKER", default=False, help="RunPod: start from fresh after every job, as worker-comfyui does"
    )
    comfy_org_api_key: SecretStr | None = _from(
        "COMFY_ORG_API_KEY", default=None, help="for ComfyUI's API nodes, where a request brings none"
    )

    comfyui_port: int = _from(
        "COMFYUI_PORT",
        default=0,
        help="where `serve` listens for ComfyUI's own API, for its clients and its web page; 0: nowhere",
        ge=0,
        le=65_535,
    )

    @classmethod
    def load(cls) -> Settings:
        """The settings of this process: its variables, and those of `.env` files. Raises SettingsInvalid."""
        env = read_environment()
        warn_of_unread(env)
        return cls.from_env(env)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the variables; one that is empty counts as not set.

        Raises SettingsInvalid naming every variable that is wrong, its value and what was expected.
        """
        try:
            settings = cls.model_validate({name: env[name] for name in _names_of_variables() if env.get(name)})
        except ValidationError as exc:
            raise SettingsInvalid("; ".join(_explain(error) for error in exc.errors())) from exc
        settings._refuse_unsafe()
        return settings

    @property
    def least_severity(self) -> str:
        """From which severity on is logged."""
        return "DEBUG" if self.debug else self.log_level

    @property
    def bucket(self) -> Bucket | None:
        """The bucket for outputs; None for the embedded folder."""
        if self.storage_type == "local":
            return None
        return find_bucket(name=self.s3_bucket, endpoint_url=self.s3_endpoint_url, region=self.aws_region)

    @property
    def webhook_signer(self) -> Signer:
        """What webhooks are signed with. Raises SettingsInvalid for a secret that is none."""
        is_set = self.enable_webhooks and self.webhook_secret is not None
        return Signer.parse(self.webhook_secret.get_secret_value() if is_set and self.webhook_secret else "")

    def _refuse_unsafe(self) -> None:
        for name, folder in (
            ("NATIVE_NODES_PATH", self.native_nodes_path),
            ("COMFYUI_PATH", self.comfyui_path),
            ("COMFYUI_CUSTOM_NODES_PATH", self.comfyui_custom_nodes_path),
            ("INPUT_PATH", self.input_path),
        ):
            if folder is not None and not folder.is_dir():
                raise SettingsInvalid(f"{name} is {str(folder)!r}; expected a folder")
        if not self.public_url.startswith(("http://", "https://")):
            raise SettingsInvalid(f"PUBLIC_URL is {self.public_url!r}; expected http://HOST or https://HOST")
        find_bucket(name=self.s3_bucket, endpoint_url=self.s3_endpoint_url, region=self.aws_region)
        _ = self.webhook_signer
        if self.secret_key is not None and len(self.secret_key.get_secret_value()) < _SHORTEST_SECRET:
            raise SettingsInvalid(f"SECRET_KEY is shorter than {_SHORTEST_SECRET} characters: `openssl rand -hex 32`")
        if self.storage_type == "s3" and self.s3_bucket is None:
            raise SettingsInvalid("STORAGE_TYPE is s3, and S3_BUCKET names no bucket")
        if self.disable_auth and self.environment != "testing":
            raise SettingsInvalid(f"DISABLE_AUTH is on with ENVIRONMENT={self.environment}; it is for testing alone")
        for name, is_on in (("ALLOW_PRIVATE_URLS", self.allow_private_urls), ("DEBUG", self.debug)):
            if is_on and self.environment == "production":
                raise SettingsInvalid(f"{name} is on in production; it is for development alone")


def warn_of_unread(env: Mapping[str, str]) -> None:
    """Log a warning of each variable that somebody set for nothing."""
    for line in [*replaced_in(env), *misspelt_in(env, frozenset(_names_of_variables()))]:
        _log.warning("%s", line)


def _explain(error: Any) -> str:
    variable = ".".join(map(str, error["loc"]))
    value = "" if any(part in variable for part in ("SECRET", "KEY", "TOKEN")) else f" is {error['input']!r}"
    if error["type"] == "string_pattern_mismatch":
        expected = {name: help for names, help, _ in variables() for name in names.split(" or ")}
        return f"{variable}{value}; expected {expected.get(variable, error['msg'])}"
    return f"{variable}{value}: {error['msg']}"


def _names_of_variables() -> Iterable[str]:
    return (name for names, _, _ in variables() for name in names.split(" or "))


def variables() -> Iterable[tuple[str, str, Any]]:
    """Every variable, what it is for and its default, in order: the configuration reference."""
    for model_field in Settings.model_fields.values():
        alias = model_field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else ()
        yield " or ".join(map(str, names)), model_field.description or "", model_field.default
