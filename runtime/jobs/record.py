"""What is known of a job, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from runtime.errors import Cancelled, ServerlessError, TimedOut
from runtime.progress import Progress

SCHEMA_VERSION = 1

ANONYMOUS = "anonymous"
"""The `user_id` of jobs that came without one."""


class Status(Enum):
    """Where a job stands. Which move may follow which is `transitions.LEGAL`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self not in (Status.PENDING, Status.RUNNING)


class JobKey(NamedTuple):
    """What one job is found by: job ids are the clients' own, so they are only unique within a tenant."""

    tenant: str
    job_id: str

    def __str__(self) -> str:
        return f"{self.tenant}#{self.job_id}"


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Where a pending job was sent to."""

    backend: str
    endpoint: str | None = None
    platform_job_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a job came by, for the logs and traces of whoever works on it: a request's id, a span by its traceparent."""

    request_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredOutput:
    """One file that a job made, by its key in the artifact store; a link to it is signed when it is asked for.

    `temporary` is a preview's: shown, but no result of the job.
    """

    node_id: str
    kind: str
    filename: str
    key: str
    content_type: str
    size_bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    subfolder: str = ""
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class JobError:
    """A ServerlessError as it is kept and sent."""

    code: str
    message: str
    retryable: bool
    node_id: str | None = None
    node_errors: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, error: ServerlessError) -> JobError:
        return cls(
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            node_id=error.node_id,
            node_errors=error.node_errors,
        )


@dataclass(frozen=True, kw_only=True)
class Timings:
    """How long each part of a job took, in milliseconds; `nodes` by node id."""

    queue: float = 0.0
    resolve: float = 0.0
    load: float = 0.0
    execute: float = 0.0
    deliver: float = 0.0
    total: float = 0.0
    nodes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WebhookTarget:
    """Whom to tell of a job, and of what; links in it are signed for `url_ttl_s` seconds when it is sent.

    `url` may hold a secret of the client's.
    """

    url: str = field(repr=False)
    events: tuple[str, ...]
    url_ttl_s: int = 3600


@dataclass(frozen=True, kw_only=True)
class DueWebhook:
    """A call that the client asked for and that was not answered yet; nobody makes it before `due_at`, in epoch s."""

    event: str
    due_at: float
    tries: int = 0


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """What is known of a job before anybody works on it, and never changes.

    `request_sha256` is of the canonical request: it decides whether the same `job_id` again is the same job.
    `ttl_s` is how long the job is remembered after its end. `user_id` is a label and authorises nothing.
    """

    tenant: str
    job_id: str
    request_sha256: str
    workflow_sha256: str
    user_id: str = ANONYMOUS
    batch_id: str | None = None
    dispatch: Dispatch | None = None
    origin: Origin | None = None
    webhook: WebhookTarget | None = None
    max_attempts: int = 2
    ttl_s: int = 86_400

    @property
    def key(self) -> JobKey:
        return JobKey(self.tenant, self.job_id)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended: a terminal status, and what its holder says of it.

    Jobs of the same `likeness` (`graph.likeness`) take about as long as each other.
    """

    status: Status
    engine: str | None = None
    gpu_seconds: float = 0.0
    outputs: tuple[StoredOutput, ...] = ()
    error: JobError | None = None
    timings_ms: Timings | None = None
    cached_nodes: tuple[str, ...] = ()
    seed_used: Mapping[str, int] = field(default_factory=dict)
    likeness: str | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: ServerlessError, **facts: Any) -> Outcome:
        """The end that `error` means."""
        status = {Cancelled: Status.CANCELLED, TimedOut: Status.TIMED_OUT}.get(type(error), Status.FAILED)
        return cls(status=status, error=JobError.of(error), **facts)


@dataclass(frozen=True, kw_only=True)
class JobRecord(Outcome, JobFacts):
    """A job as its store holds it.

    Times ending in `_at` are ISO 8601 in UTC, but for those that machines compare, in epoch seconds:
    `lease_expires_at`, `due_at` (when a sweeper shall look at it: while pending to send it again, at the latest at
    `waits_until`, when it is given up; the lease while running; at the end the next webhook, None once none is due),
    `not_before` (a requeued job's next claim) and `expires_at` (terminal jobs only: from then on the job is taken for
    absent). `error` of a pending job is its last attempt's, `webhook_error` why a webhook was given up.
    `attempt + handbacks` is the number of claims, which is also what `fencing_token` counts.
    `revision` grows with every write.
    """

    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 0
    handbacks: int = 0
    worker_id: str | None = None
    lease_expires_at: float | None = None
    fencing_token: int = 0
    cancel_requested: bool = False
    progress: Progress | None = None
    revision: int = 0
    due_at: float | None = None
    not_before: float | None = None
    waits_until: float | None = None
    expires_at: int | None = None
    webhooks_due: tuple[DueWebhook, ...] = ()
    webhook_error: str | None = None
    schema_version: int = SCHEMA_VERSION

    def is_expired(self, now: float) -> bool:
        """Whether the job is past its time to live at `now`, in epoch seconds."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """A job as a list of jobs shows it: what every store can give without reading the whole record."""

    job_id: str
    status: Status
    created_at: str
    user_id: str
    batch_id: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 0
    engine: str | None = None
    gpu_seconds: float = 0.0
