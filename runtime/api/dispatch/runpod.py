"""Jobs for the workers of a RunPod endpoint, which share our stores."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict

from runtime.api.dispatch.remote import WITHIN_S, check_keeps_no_key, post
from runtime.api.dispatch.seal import Seal
from runtime.errors import StateUnavailable
from runtime.jobs.record import Dispatch, JobKey
from runtime.request import JobRequest

URL = "https://api.runpod.ai/v2"
_REMEMBERED = 10_000


class RunPodDispatcher:
    """A `Dispatcher`: one RunPod job a send, which names ours."""

    within_s = WITHIN_S

    def __init__(self, endpoint: str, api_key: str, seal: Seal, *, url: str = URL) -> None:
        self.dispatch = Dispatch(backend="runpod", endpoint=endpoint)
        self._seal = seal
        self._key = api_key
        self._url = f"{url}/{endpoint}"
        self._lock = threading.Lock()
        self._sent: OrderedDict[JobKey, str] = OrderedDict()

    def check(self, request: JobRequest) -> None:
        """Raises InvalidRequest for a request that brings an API key, which is never kept."""
        check_keeps_no_key(request)

    def send(self, key: JobKey, request: JobRequest) -> None:
        body = {"input": self._seal.write(key)}
        mend = "expected RUNPOD_ENDPOINT_ID of an endpoint that RUNPOD_API_KEY may call"
        what = f"RunPod endpoint {self.dispatch.endpoint}"
        answer = post(f"{self._url}/run", body, what=what, mend=mend, key=self._key)
        with self._lock:
            self._sent[key] = str(answer["id"])
            while len(self._sent) > _REMEMBERED:
                self._sent.popitem(last=False)

    def cancel(self, key: JobKey) -> None:
        """Take the job out of RunPod's queue, where this process sent it: no worker then starts for its sake.

        A worker that has it hears of the cancel from the store, whatever becomes of this.
        """
        with self._lock:
            sent = self._sent.pop(key, None)
        if sent is not None:
            with contextlib.suppress(StateUnavailable):
                post(f"{self._url}/cancel/{sent}", {}, what="RunPod", mend="", key=self._key)
