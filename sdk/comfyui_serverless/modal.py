"""A Modal app as a deployment: its worker is called directly, by Modal's own library and credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from comfyui_serverless.backends import JobsOnly
from comfyui_serverless.errors import ClientError, NotFound, TransportError
from comfyui_serverless.flow import Ask, Flow
from comfyui_serverless.states import JobState


class Calls(Protocol):
    """Calls of the app's worker. Each is known by the id that Modal gives it."""

    def spawn(self, wire: Mapping[str, Any]) -> str:
        """Begin a job; its call's id."""

    def get(self, call_id: str, timeout_s: float) -> Mapping[str, Any] | None:
        """The call's result, or None where there is none within `timeout_s`. Raises what the call raised."""

    def cancel(self, call_id: str) -> None:
        """End the call."""


@dataclass(frozen=True, kw_only=True)
class ModalCalls:
    """`Calls` by the modal package."""

    app: str

    def spawn(self, wire: Mapping[str, Any]) -> str:
        import modal

        worker = modal.Cls.from_name(self.app, "Worker")()
        return str(worker.run.spawn(dict(wire)).object_id)

    def get(self, call_id: str, timeout_s: float) -> Mapping[str, Any] | None:
        import modal

        try:
            answer: Mapping[str, Any] = modal.FunctionCall.from_id(call_id).get(timeout=timeout_s)
        except TimeoutError:
            return None
        return answer

    def cancel(self, call_id: str) -> None:
        import modal

        modal.FunctionCall.from_id(call_id).cancel()


@dataclass(frozen=True, kw_only=True)
class ModalBackend(JobsOnly):
    """A `Backend`. Jobs are known there by the ids of Modal's calls, which are what `job_id` is here."""

    app: str
    calls: Calls | None = field(default=None, repr=False)
    base_url: str = "https://modal.com"

    def submit(self, wire: Mapping[str, Any], job_id: str) -> Flow[JobState]:
        call_id = yield from self._ask(lambda calls: calls.spawn({**wire, "job_id": job_id}))
        return JobState(job_id=str(call_id), status="pending")

    def look(self, job_id: str, *, after: int | None = None, wait_s: float = 0) -> Flow[JobState]:
        try:
            wire = yield from self._ask(lambda calls: calls.get(job_id, wait_s))
        except _CallFailed as exc:
            error = {"code": exc.code, "message": str(exc)}
            status = exc.code if exc.code in ("cancelled", "timed_out") else "failed"
            return JobState(job_id=job_id, status=status, wire={"status": status, "error": error})
        if wire is None:
            return JobState(job_id=job_id, status="running")
        return JobState(job_id=job_id, status=str(wire["status"]), wire=wire)

    def cancel(self, job_id: str) -> Flow[JobState]:
        yield from self._ask(lambda calls: calls.cancel(job_id))
        return (yield from self.look(job_id))

    def _why_no_list(self) -> str:
        return "Modal lists no jobs: keep the ids, or list them through the app's HTTP API"

    def _ask(self, call: Callable[[Calls], Any]) -> Flow[Any]:
        """Make the call. Raises ClientError, NotFound, TransportError, and _CallFailed for what the job raised."""
        calls = self.calls or ModalCalls(app=self.app)
        try:
            return (yield Ask(call=lambda: call(calls)))
        except ImportError as exc:
            raise ClientError("Client(modal=...) needs the modal package: pip install modal") from exc
        except Exception as exc:  # Modal's errors by their names: the package is not there everywhere
            raise _translated(exc, self.app) from exc


class _CallFailed(Exception):
    """The call raised where it ran."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def _translated(exc: Exception, app: str) -> Exception:
    names = {kind.__name__ for kind in type(exc).__mro__}
    if "AuthError" in names:
        return ClientError("Modal refused the credentials: run `modal setup`, or set MODAL_TOKEN_ID and _SECRET")
    if names & {"NotFoundError", "OutputExpiredError"}:
        return NotFound(f"app {app!r} or its job is not there: {exc}", status=404, code="not_found")
    if names & {"ConnectionError", "ServiceError", "InternalError"}:
        return TransportError(f"Modal could not be asked: {exc}")
    if "FunctionTimeoutError" in names:
        return _CallFailed("the job took longer than the app lets one", code="timed_out")
    if "RemoteError" in names and any(word in str(exc).lower() for word in ("cancel", "terminat")):
        return _CallFailed("the job was cancelled", code="cancelled")
    return _CallFailed(f"{type(exc).__name__}: {exc}", code=str(getattr(exc, "code", "internal")))
