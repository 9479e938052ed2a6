"""Jobs for the workers of a Modal app, which share our stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime.api.dispatch.remote import WITHIN_S, check_keeps_no_key
from runtime.api.dispatch.seal import Seal
from runtime.errors import StateUnavailable
from runtime.jobs.record import Dispatch, JobKey
from runtime.request import JobRequest

Spawn = Callable[[str, Mapping[str, Any]], object]
"""Begins a call of the app's worker, by the app's name and the worker's input."""


def spawn(app: str, data: Mapping[str, Any]) -> object:
    """Begin a call by the modal package."""
    import modal

    return modal.Cls.from_name(app, "Worker")().run.spawn(dict(data))


class ModalDispatcher:
    """A `Dispatcher`: one call a send, which names our job."""

    within_s = WITHIN_S

    def __init__(self, app: str, seal: Seal, *, spawn: Spawn = spawn) -> None:
        self.dispatch = Dispatch(backend="modal", endpoint=app)
        self._app = app
        self._seal = seal
        self._spawn = spawn

    def check(self, request: JobRequest) -> None:
        """Raises InvalidRequest for a request that brings an API key, which is never kept."""
        check_keeps_no_key(request)

    def send(self, key: JobKey, request: JobRequest) -> None:
        data = self._seal.write(key)
        try:
            self._spawn(self._app, data)
        except Exception as exc:  # the package has some forty kinds, and each means that the job was not heard of
            raise StateUnavailable(
                f"Modal app {self._app!r} did not take the job: {type(exc).__name__}: {exc}"
            ) from exc

    def cancel(self, key: JobKey) -> None:
        """The worker hears of it from the store."""
