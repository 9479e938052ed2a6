"""Jobs for another instance of this API, with workers of its own, which shares our stores."""

from __future__ import annotations

from runtime.api.dispatch.remote import WITHIN_S, check_keeps_no_key, post
from runtime.api.dispatch.seal import Seal
from runtime.jobs.record import Dispatch, JobKey
from runtime.request import JobRequest

PATH = "/dispatch"


class HttpDispatcher:
    """A `Dispatcher`: a peer is told of the job, and hands it to its own dispatcher."""

    within_s = WITHIN_S

    def __init__(self, url: str, seal: Seal) -> None:
        self.dispatch = Dispatch(backend="http", endpoint=url)
        self._seal = seal
        self._url = url.rstrip("/")

    def check(self, request: JobRequest) -> None:
        """Raises InvalidRequest for a request that brings an API key, which is never kept."""
        check_keeps_no_key(request)

    def send(self, key: JobKey, request: JobRequest) -> None:
        mend = "expected DISPATCH_HTTP_URL of a peer with the same stores and SECRET_KEY"
        what = f"the peer at {self.dispatch.endpoint}"
        post(self._url + PATH, self._seal.write(key), what=what, mend=mend)

    def cancel(self, key: JobKey) -> None:
        """The peer's worker hears of it from the store."""
