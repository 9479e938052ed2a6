"""What goes out: one job's result, in our own form and beside it in worker-comfyui's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runtime.errors import ServerlessError

Status = Literal["pending", "running", "completed", "failed", "cancelled", "timed_out"]
Kind = Literal["image", "video", "audio", "latent", "text", "file"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Output(_Part):
    """One file that a graph made. `url` and `data` are alternatives: a link, or base64."""

    node_id: str
    kind: Kind
    filename: str
    subfolder: str = ""
    temporary: bool = False
    key: str | None = None
    url: str | None = Field(default=None, repr=False)
    url_expires_at: str | None = None
    data: str | None = Field(default=None, repr=False)
    text: str | None = None
    content_type: str
    size_bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None

    @property
    def is_picture(self) -> bool:
        """A picture that the graph saves; a preview is none."""
        return self.kind == "image" and not self.temporary


class Failure(_Part):
    """Why a job did not complete."""

    code: str
    message: str
    retryable: bool = False
    node_id: str | None = None
    node_errors: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, error: ServerlessError) -> Failure:
        return cls(
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            node_id=error.node_id,
            node_errors=error.node_errors,
        )


class Timings(_Part):
    """Milliseconds; `nodes` by node id."""

    queue: float = 0
    resolve: float = 0
    load: float = 0
    execute: float = 0
    deliver: float = 0
    total: float = 0
    nodes: Mapping[str, float] = {}


def _output(output: Output) -> dict[str, Any]:
    """The output without its bytes where `images` has them already: a platform's limit counts both."""
    twice = {"data"} if output.is_picture else None
    return output.model_dump(mode="json", exclude=twice, exclude_none=True)


class JobResult(_Part):
    """How a job ended, or where it stands.

    `retry_after_s` is set where whoever brought the request shall bring it again: the job has not ended, and may be
    had by then.
    """

    job_id: str
    status: Status
    engine: str | None = None
    outputs: tuple[Output, ...] = ()
    timings_ms: Timings = Timings()
    cached_nodes: tuple[str, ...] = ()
    seed_used: Mapping[str, int] = {}
    warnings: tuple[str, ...] = ()
    error: Failure | None = None
    progress: Mapping[str, Any] | None = None
    retry_after_s: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether this is how the job ended; if not, it waits or runs, and `error` may say why it is not here."""
        return self.status not in ("pending", "running")

    @property
    def images(self) -> list[dict[str, str]]:
        """worker-comfyui's form of the pictures."""
        return [
            {"filename": o.filename, "type": "s3_url" if o.url else "base64", "data": o.url or o.data or ""}
            for o in self.outputs
            if o.is_picture
        ]

    def to_wire(self) -> dict[str, Any]:
        """The result as JSON types: what completed has its outputs, what did not its error or how far it is."""
        if self.error is not None or not self.has_ended:
            told = {"job_id", "status", "error", "progress", "retry_after_s", *(["warnings"] if self.warnings else [])}
            return self.model_dump(mode="json", include=told, exclude_none=True)
        wire = self.model_dump(mode="json", exclude={"error", "outputs", "progress", "retry_after_s"})
        wire["outputs"] = [_output(output) for output in self.outputs]
        return {**wire, "images": self.images}
