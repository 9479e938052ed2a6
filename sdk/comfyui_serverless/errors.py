"""Everything that a client raises.

ComfyUIServerlessError
├── ClientError            what was asked cannot be sent: a workflow, an override, a setting
├── TransportError         the deployment could not be reached, after retries
├── ApiError               the deployment refused the call; `status` and `code` say why
│   ├── Unauthenticated    401
│   ├── Forbidden          403
│   ├── NotFound           404
│   ├── Conflict           409
│   └── RateLimited        429, after retries
├── WaitTimeout            the job had not ended in the time that was given to wait; it goes on
└── JobError               the job ended without its outputs; `code` says why, `node_errors` where
    ├── GraphRejected      graph_rejected, unknown_node
    ├── ModelMissing       model_missing
    ├── InputError         input_rejected, input_unreachable
    ├── NodeFailed         node_failed
    ├── OutOfMemory        out_of_memory
    ├── Cancelled          cancelled
    └── TimedOut           timed_out
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ComfyUIServerlessError(Exception):
    """The base of them all."""


class ClientError(ComfyUIServerlessError):
    """What was asked cannot be sent; nothing was."""


class TransportError(ComfyUIServerlessError):
    """The deployment could not be reached, also after retries. A job that was submitted may run all the same."""


class WaitTimeout(ComfyUIServerlessError):
    """The job had not ended in the time that was given to wait for it; it goes on."""


class ApiError(ComfyUIServerlessError):
    """The deployment refused the call."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unauthenticated(ApiError):
    """The token or key is missing, wrong or expired."""


class Forbidden(ApiError):
    """The key does not allow this."""


class NotFound(ApiError):
    """There is no such job or file among the caller's own."""


class Conflict(ApiError):
    """The job id names another request."""


class RateLimited(ApiError):
    """Too many calls, also after the time that the deployment asked to wait."""


class JobError(ComfyUIServerlessError):
    """The job ended without its outputs."""

    def __init__(
        self,
        message: str,
        *,
        job_id: str,
        code: str,
        retryable: bool = False,
        node_id: str | None = None,
        node_errors: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code
        self.retryable = retryable
        self.node_id = node_id
        self.node_errors = node_errors or {}


class GraphRejected(JobError):
    """The graph cannot run as it stands; `node_errors` says why, node by node."""


class ModelMissing(JobError):
    """The deployment does not have a model that the graph names."""


class InputError(JobError):
    """An input file could not be had."""


class NodeFailed(JobError):
    """A node raised; `node_id` says which."""


class OutOfMemory(JobError):
    """The GPU's memory was not enough."""


class Cancelled(JobError):
    """The job was cancelled."""


class TimedOut(JobError):
    """The job ran longer than its `timeout_s`."""


_BY_STATUS = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 429: RateLimited}
_BY_CODE = {
    "graph_rejected": GraphRejected,
    "unknown_node": GraphRejected,
    "model_missing": ModelMissing,
    "input_rejected": InputError,
    "input_unreachable": InputError,
    "node_failed": NodeFailed,
    "out_of_memory": OutOfMemory,
    "cancelled": Cancelled,
    "timed_out": TimedOut,
}


def api_error(status: int, code: str, message: str) -> ApiError:
    """The error of a call that was answered with `status`."""
    return _BY_STATUS.get(status, ApiError)(message, status=status, code=code)


def job_error(job_id: str, status: str, error: Mapping[str, Any]) -> JobError:
    """The error of a job that ended by `error`, as it is on the wire."""
    code = str(error.get("code") or status)
    return _BY_CODE.get(code, JobError)(
        f"{code}: {error.get('message') or f'the job ended as {status}'}",
        job_id=job_id,
        code=code,
        retryable=bool(error.get("retryable")),
        node_id=error.get("node_id"),
        node_errors=error.get("node_errors"),
    )
