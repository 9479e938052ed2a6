"""`deploy.yaml`: what a deployment is, in one file. Secrets never stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from infra.deploy.errors import DeployError
from infra.deploy.gpus import GpuName

FILE = "deploy.yaml"

Environment = Literal["staging", "production"]
Days = Annotated[int, Field(ge=1, le=3650)]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]

_SECRET_WORDS = ("SECRET", "TOKEN", "PASSWORD", "API_KEY", "ACCESS_KEY")


def _text(value: object) -> object:
    """What YAML read as a number or a truth value, as the text that a variable holds."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Value = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int | float | bool)]
Parameter = Annotated[str, Field(pattern=r"^/?[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$")]


class Part(BaseModel):
    """A section of the file. Each field's description is what the page and the schema say of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkersConfig(Part):
    """How many workers there are, and when one is started or ended."""

    min: int = Field(default=0, ge=0, le=100, description="workers that are always there, and paid for")
    max: int = Field(default=3, ge=1, le=1000, description="most workers at one time")
    idle_timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without a job after which one ends")
    concurrency: int = Field(default=1, ge=1, le=100, description="jobs for each worker, beyond which one is started")

    @model_validator(mode="after")
    def _in_order(self) -> WorkersConfig:
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max {self.max}; expected max to be at least min")
        return self


class VolumeConfig(Part):
    """Where the models lie, shared by the workers."""

    size_gb: int = Field(default=50, ge=10, le=4000, description="GB that the volume holds; it can grow, not shrink")


class AwsConfig(Part):
    """What `deploy aws` makes: table, bucket, queues, policies, sweeper and alarms."""

    region: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="an AWS region, as in eu-west-1; else AWS_REGION",
    )
    output_days: Days = Field(default=30, description="how long pictures, inputs and requests are kept")
    allowed_origins: tuple[str, ...] = Field(default=("*",), description="web pages that may upload by presigned forms")
    alarm_email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+$", description="who is told of alarms")
    worker_user: bool = Field(default=False, description="a user for workers outside AWS")
    sweeper: bool = Field(default=True, description="run the sweeper every minute, as a Lambda function")
    sweeper_env: dict[Variable, Value] = Field(
        default_factory=dict, description="the sweeper's variables, as in DISPATCH: runpod (docs/dispatch.md)"
    )
    sweeper_secrets: dict[Variable, Parameter] = Field(
        default_factory=dict,
        description="the sweeper's secrets: a variable, and the name of a SecureString in Systems Manager's parameters",
    )
    queue_age_alarm_s: int = Field(default=900, ge=60, description="seconds in a queue from which on an alarm is given")


class RunpodConfig(Part):
    """What is RunPod's own."""

    flash_boot: bool = Field(default=True, description="keep ended workers' state, so that the next starts faster")
    container_disk_gb: int = Field(default=20, ge=5, le=500, description="GB of a worker's own disk, beside the volume")


class ModalConfig(Part):
    """What is Modal's own."""

    snapshot: Literal["gpu", "memory", "none"] = Field(
        default="gpu", description="what workers start from: a snapshot of memory with the GPU's, without it, or none"
    )
    comfyui: bool = Field(default=True, description="whether ComfyUI is in the image, beside the native engine")


class KubernetesConfig(Part):
    """What is Kubernetes' own."""

    context: str | None = Field(default=None, description="kubectl's context; else its current one")
    storage_class: str | None = Field(default=None, description="a class of volumes that many nodes can mount")
    role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/\S+$",
        description="the IAM role of the pods on EKS, as in arn:aws:iam::123456789012:role/comfyui-worker",
    )


class EcsConfig(Part):
    """Where ECS's instances are, in the region of `aws`."""

    vpc: str = Field(
        default="", pattern=r"^$|^vpc-[0-9a-f]{8,17}$", description="the VPC's id, as in vpc-0123456789abcdef0"
    )
    subnets: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")], ...] = Field(
        default=(), description="ids of its subnets, at most one in a zone, each with a way to the internet"
    )


class CloudRunConfig(Part):
    """What is Cloud Run's own; its region is `region`."""

    project: str | None = Field(
        default=None, pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$", description="the project's id; else gcloud's own"
    )
    models_bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$",
        description="the bucket that holds checkpoints/, ...: its name in lower-case letters, digits and . _ -",
    )


class ComposeConfig(Part):
    """What is Compose's own."""

    gpu: bool = Field(default=True, description="give the worker an NVIDIA GPU")
    comfyui_api: bool = Field(default=False, description="ComfyUI's own API and web page too, on COMFYUI_PORT (8188)")


class DeployConfig(Part):
    """A deployment by name; each environment of it is apart from the others."""

    name: str = Field(
        default="comfyui",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
        description="a lower-case letter, then up to 30 of a-z, 0-9 and -; what everything that is made begins with",
    )
    environment: Environment = Field(default="production", description="the one that is meant where --env is not said")
    image: str | None = Field(
        default=None,
        pattern=r"^[^\s:@]+(:\d+)?[^\s:@]*(:[\w.-]+|@sha256:[0-9a-f]{64})$",
        description="REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST, built from Dockerfile.gpu and pushed",
    )
    gpus: tuple[GpuName, ...] = Field(
        default=("l40s", "rtx-4090", "l4"), min_length=1, description="GPUs in the order of preference"
    )
    workers: WorkersConfig = WorkersConfig()
    volume: VolumeConfig = VolumeConfig()
    region: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9-]{2,40}$", description="where workers run, by the platform's own name"
    )
    env: dict[Variable, Value] = Field(
        default_factory=dict, description="variables of the workers (docs/configuration.md)"
    )
    secrets: dict[Variable, Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$")]] = Field(
        default_factory=dict, description="variables by the name of the secret in the platform's own store"
    )
    environments: dict[Environment, dict[str, Any]] = Field(
        default_factory=dict, description="what differs in an environment: any of the fields above, laid over them"
    )
    aws: AwsConfig = AwsConfig()
    runpod: RunpodConfig = RunpodConfig()
    modal: ModalConfig = ModalConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    ecs: EcsConfig = EcsConfig()
    cloudrun: CloudRunConfig = CloudRunConfig()
    compose: ComposeConfig = ComposeConfig()

    @model_validator(mode="after")
    def _secrets_by_reference(self) -> DeployConfig:
        _check_apart("", self.env, self.secrets)
        _check_apart("aws.sweeper_", self.aws.sweeper_env, self.aws.sweeper_secrets)
        return self

    @property
    def full_name(self) -> str:
        """What the deployment's own things are called: name and environment."""
        return f"{self.name}-{self.environment}"

    def image_on(self, platform: str) -> str:
        """The image that workers start from. Raises DeployError where none is named."""
        if self.image is None:
            raise DeployError(
                f"image is not set, and {platform} starts workers from one: `docker build -f Dockerfile.gpu -t "
                f"REGISTRY/NAME:TAG .`, push it, and put `image: REGISTRY/NAME:TAG` into {FILE}"
            )
        return self.image


def _check_apart(place: str, env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    for name in env:
        if any(word in name for word in _SECRET_WORDS):
            raise ValueError(f"{place}env.{name} would lie open in this file; expected it in {place}secrets, by name")
    if twice := env.keys() & secrets.keys():
        raise ValueError(f"{min(twice)} stands in {place}env and in {place}secrets; expected one of them")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: mappings are merged key by key, everything else is replaced."""
    together = dict(below)
    for key, value in above.items():
        under = together.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            value = merged(under, value)
        together[key] = value
    return together
