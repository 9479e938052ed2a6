"""The thread that serves an endpoint on loopback."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from .client_routes import ClientRoutes
from .endpoint import Endpoint, Job, Ping
from .worker_routes import WorkerRoutes

_T = TypeVar("_T")


class RunPodServer:
    """Serves one endpoint while its context is open; its methods may be called from any thread.

    A worker's poll for jobs is held for up to `hold_s` seconds, one for stop signals for up to `stop_hold_s`: the
    library looks away for a second after each of those that brought nothing, and ends only when both have ended. With
    `lost_after_s`, a worker that was silent for so long is taken for lost, and its jobs queue again.
    """

    endpoint_id = "local"
    api_key = "local-key"

    def __init__(self, *, hold_s: float = 0.5, stop_hold_s: float = 60.0, lost_after_s: float | None = None) -> None:
        self._hold_s = hold_s
        self._lost_after_s = lost_after_s
        self._stop_hold_s = stop_hold_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="runpod-server", daemon=True)

    def __enter__(self) -> RunPodServer:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._watch.cancel)
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """What RUNPOD_ENDPOINT_BASE_URL is for clients."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v2"

    def worker_environment(self, worker_id: str) -> dict[str, str]:
        """The variables that RunPod gives a worker, as its library reads them."""
        base, query = f"{self.url}/{self.endpoint_id}", "?gpu=none"
        return {
            "RUNPOD_AI_API_KEY": self.api_key,
            "RUNPOD_ENDPOINT_ID": self.endpoint_id,
            "RUNPOD_POD_ID": worker_id,
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID{query}",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID{query}",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID{query}",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID{query}",
        }

    def job(self, job_id: str) -> Job:
        """A copy of the job as it stands."""
        return self._read(lambda endpoint: endpoint.jobs[job_id])

    def jobs(self) -> list[Job]:
        """Copies of all jobs."""
        return self._read(lambda endpoint: list(endpoint.jobs.values()))

    def pings(self) -> list[Ping]:
        return self._read(lambda endpoint: endpoint.pings)

    def submit(self, job_input: Any) -> str:
        """Queue a job without a client, and answer its id."""
        return self._call(self._endpoint.submit({"input": job_input})).id

    def purge(self) -> int:
        """Drop the jobs that wait, and answer how many those were."""
        return self._call(self._endpoint.purge())

    def abandon(self, worker_id: str) -> None:
        """Take a worker for lost: its jobs queue again."""
        self._call(self._endpoint.abandon(worker_id))

    def wait_until(self, holds: Callable[[Endpoint], bool], timeout_s: float = 60.0) -> None:
        """Block until `holds(endpoint)`. Raises TimeoutError with the jobs as they then stand."""
        if not self._call(self._endpoint.until(lambda: holds(self._endpoint), timeout_s)):
            jobs = [job.to_wire() for job in self._read(lambda endpoint: list(endpoint.jobs.values()))]
            raise TimeoutError(f"not within {timeout_s:g} s; the jobs are {jobs}")

    async def _start(self) -> None:
        self._endpoint = Endpoint()
        app = web.Application(client_max_size=1 << 30)
        worker_side = WorkerRoutes(
            self._endpoint, api_key=self.api_key, hold_s=self._hold_s, stop_hold_s=self._stop_hold_s
        )
        app.add_routes(worker_side.routes())
        app.add_routes(ClientRoutes(self._endpoint, api_key=self.api_key).routes())
        # A poll whose worker is gone is dropped at once, so that it takes no job with it.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._watch = asyncio.ensure_future(self._abandon_silent())

    async def _abandon_silent(self) -> None:
        while self._lost_after_s is not None:
            await self._endpoint.abandon_silent(self._lost_after_s)
            await asyncio.sleep(self._lost_after_s / 4)

    def _read(self, look: Callable[[Endpoint], _T]) -> _T:
        async def read() -> _T:
            return copy.deepcopy(look(self._endpoint))

        return self._call(read())

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
