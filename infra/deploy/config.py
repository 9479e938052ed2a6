"""`deploy.yaml`: what a deployment is, in one file. Secrets never stand in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.deploy.errors import DeployError

FILE = "deploy.yaml"

Days = Annotated[int, Field(ge=1, le=3650)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AwsConfig(_Part):
    """What `deploy aws` makes: table, bucket, queues, policies and alarms. `region` None: where boto3 finds one."""

    region: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    output_days: Days = 30
    allowed_origins: tuple[str, ...] = ("*",)
    alarm_email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+$")
    worker_user: bool = False
    queue_age_alarm_s: int = Field(default=900, ge=60)


class DeployConfig(_Part):
    """A deployment by name; each environment of it is apart from the others."""

    name: str = Field(default="comfyui", pattern=r"^[a-z][a-z0-9-]{0,30}$")
    environment: Literal["staging", "production"] = "production"
    aws: AwsConfig = AwsConfig()

    @classmethod
    def read(cls, path: Path, *, environment: str | None = None) -> DeployConfig:
        """The file's deployment, `environment` put in the place of the file's; the defaults where there is no file.

        Raises DeployError naming each field that is wrong, its value and what was expected.
        """
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            data = yaml.safe_load(text) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
            raise DeployError(f"{path} cannot be read: {exc}") from exc
        if not isinstance(data, dict):
            raise DeployError(f"{path} holds a {type(data).__name__}; expected fields such as `name: comfyui`")
        try:
            return cls.model_validate({**data, **({"environment": environment} if environment else {})})
        except ValidationError as exc:
            raise DeployError("; ".join(_explain(path, error) for error in exc.errors())) from exc


def _explain(path: Path, error: Any) -> str:
    field = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{path}: {field} is no field of a deployment"
    return f"{path}: {field} is {error['input']!r}: {error['msg']}"
