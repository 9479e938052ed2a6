"""Every error that a job can end with.

ServerlessError
├── InvalidRequest        invalid_request
│   └── JobIdTaken        job_id_taken
├── GraphRejected         graph_rejected
│   └── UnknownNode       unknown_node
├── ModelError
│   ├── ModelMissing      model_missing
│   ├── ModelCorrupt      model_corrupt
│   └── ModelUnsafe       model_unsafe
├── InputError
│   ├── InputUnreachable  input_unreachable   retryable
│   └── InputRejected     input_rejected
├── OutOfMemory           out_of_memory       retryable
├── DeviceLost            device_lost         retryable
├── NodeFailed            node_failed
├── Cancelled             cancelled
├── TimedOut              timed_out
├── LeaseLost             lease_lost          retryable
├── HandedBack            handed_back         retryable
├── StorageUnavailable    storage_unavailable retryable
├── StateUnavailable      state_unavailable   retryable
├── Internal              internal            retryable
└── SettingsInvalid       never a job's: the process does not start
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


class ServerlessError(Exception):
    """A job's failure, with the code that goes over the wire and whether a retry helps."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        node_id: str | None = None,
        node_errors: Mapping[str, Any] | None = None,
    ) -> None:
        message = _CONTROL.sub(_escaped, message)  # a name out of a request shall forge no line of a log
        message = message.encode(errors="backslashreplace").decode()  # a file's name may be no UTF-8; the wire is
        super().__init__(message)
        self.message = message
        self.node_id = node_id
        self.node_errors = dict(node_errors) if node_errors else None


class InvalidRequest(ServerlessError):
    """The request itself is malformed: a field is missing, unknown or out of range."""

    code = "invalid_request"


class JobIdTaken(InvalidRequest):
    """The `job_id` already names a job with another request."""

    code = "job_id_taken"


class GraphRejected(ServerlessError):
    """The graph cannot run as it stands; `node_errors` says why, node by node."""

    code = "graph_rejected"


class UnknownNode(GraphRejected):
    """The graph names a class_type that no engine here has."""

    code = "unknown_node"


class ModelError(ServerlessError):
    """A model file cannot be used."""


class ModelMissing(ModelError):
    """The volume has no such model; the message gives the near names."""

    code = "model_missing"


class ModelCorrupt(ModelError):
    """A model file is truncated, padded, malformed or of no known family."""

    code = "model_corrupt"


class ModelUnsafe(ModelError):
    """A model file would run code when it is loaded."""

    code = "model_unsafe"


class InputError(ServerlessError):
    """An input file of the request cannot be used."""


class InputUnreachable(InputError):
    """An input could not be fetched from where the request says it is."""

    code = "input_unreachable"
    retryable = True


class InputRejected(InputError):
    """An input is not what it claims to be, too large, or out of bounds."""

    code = "input_rejected"


class OutOfMemory(ServerlessError):
    """The graph needed more memory than the device has, also after everything else was freed."""

    code = "out_of_memory"
    retryable = True


class DeviceLost(ServerlessError):
    """The GPU failed in a way that only a new process recovers from: this worker must take no further job."""

    code = "device_lost"
    retryable = True


class NodeFailed(ServerlessError):
    """A node raised while it ran; `node_id` names it."""

    code = "node_failed"


class Cancelled(ServerlessError):
    """The job was cancelled before it ended."""

    code = "cancelled"


class TimedOut(ServerlessError):
    """The job ran past its `timeout_s`."""

    code = "timed_out"


class LeaseLost(ServerlessError):
    """Another worker holds the job now; this one publishes nothing."""

    code = "lease_lost"
    retryable = True


class HandedBack(ServerlessError):
    """The worker was told to stop: its job waits for another one. Never a job's end."""

    code = "handed_back"
    retryable = True


class StorageUnavailable(ServerlessError):
    """The artifact store did not take or give a file, also after retries."""

    code = "storage_unavailable"
    retryable = True


class StateUnavailable(ServerlessError):
    """The job store did not answer, also after retries."""

    code = "state_unavailable"
    retryable = True


class Internal(ServerlessError):
    """A defect of ours."""

    code = "internal"
    retryable = True


class SettingsInvalid(ServerlessError):
    """A setting of this deployment is missing, malformed or out of range; the process does not start."""
