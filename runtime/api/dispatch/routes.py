"""Several dispatchers, and rules that say which one a job goes to, and which where that one is down."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.api.dispatch.rule import Rule
from runtime.errors import StateUnavailable
from runtime.jobs.record import Dispatch, JobKey
from runtime.request import JobRequest

_log = logging.getLogger(__name__)


class Routes:
    """Chooses a job's way by the first rule that holds, else the usual one. `dispatchers` are by name."""

    def __init__(self, dispatchers: Mapping[str, Dispatcher], *, usual: Sequence[str], rules: Sequence[Rule]) -> None:
        self._dispatchers = dispatchers
        self._usual = usual
        self._rules = rules

    @property
    def dispatch(self) -> Dispatch:
        return self._dispatchers[self._usual[0]].dispatch

    @property
    def within_s(self) -> float:
        return max(dispatcher.within_s for dispatcher in self._dispatchers.values())

    def choose(self, request: JobRequest) -> Dispatcher:
        """The way of this request: the dispatchers of its rule, in order."""
        names = next((rule.to for rule in self._rules if rule.holds_for(request)), self._usual)
        return _Way([self._dispatchers[name] for name in names])

    def check(self, request: JobRequest) -> None:
        """Raises InvalidRequest where a dispatcher of the request's way could not bring it."""
        self.choose(request).check(request)

    def send(self, key: JobKey, request: JobRequest) -> None:
        """Send by the request's way. Raises StateUnavailable."""
        self.choose(request).send(key, request)

    def cancel(self, key: JobKey) -> None:
        for dispatcher in self._dispatchers.values():
            dispatcher.cancel(key)


class _Way:
    """Dispatchers of which the next is tried where one is down.

    A job's record names the first. The store says who runs it, and not where it was sent.
    """

    def __init__(self, dispatchers: Sequence[Dispatcher]) -> None:
        self._dispatchers = dispatchers
        self.dispatch = dispatchers[0].dispatch
        self.within_s = max(dispatcher.within_s for dispatcher in dispatchers)

    def check(self, request: JobRequest) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.check(request)

    def send(self, key: JobKey, request: JobRequest) -> None:
        failures = []
        for dispatcher in self._dispatchers:
            try:
                return dispatcher.send(key, request)
            except StateUnavailable as exc:
                failures.append(exc.message)
                _log.warning("job %s goes another way: %s", key.job_id, exc.message)
        raise StateUnavailable("; ".join(failures))

    def cancel(self, key: JobKey) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.cancel(key)


def chosen(dispatcher: Dispatcher, request: JobRequest) -> Dispatcher:
    """What brings this request: the dispatcher itself, or its way where there are several."""
    return dispatcher.choose(request) if isinstance(dispatcher, Routes) else dispatcher
