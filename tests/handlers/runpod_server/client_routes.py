"""The side that clients talk to: the operations of a queue-based RunPod endpoint."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from .endpoint import FINAL, Endpoint, Job

RUN_LIMIT_BYTES = 10_000_000
RUNSYNC_LIMIT_BYTES = 20_000_000
RUNSYNC_WAIT_S = 90.0


class ClientRoutes:
    """A client shows `Bearer KEY` in `Authorization`, or the bare key, as RunPod's own examples do."""

    def __init__(self, endpoint: Endpoint, *, api_key: str) -> None:
        self._endpoint = endpoint
        self._keys = (f"Bearer {api_key}", api_key)

    def routes(self) -> list[web.RouteDef]:
        base = "/v2/{endpoint}"
        return [
            web.post(base + "/run", self.run),
            web.post(base + "/runsync", self.run_sync),
            web.get(base + "/status/{job}", self.status),
            web.post(base + "/status/{job}", self.status),
            web.get(base + "/stream/{job}", self.stream),
            web.post(base + "/cancel/{job}", self.cancel),
            web.get(base + "/health", self.health),
            web.post(base + "/purge-queue", self.purge),
        ]

    async def run(self, request: web.Request) -> web.Response:
        job = await self._endpoint.submit(await self._request(request, RUN_LIMIT_BYTES))
        return web.json_response({"id": job.id, "status": job.status})

    async def run_sync(self, request: web.Request) -> web.Response:
        """The job's end, or where it stands after `?wait=` milliseconds."""
        job = await self._endpoint.submit(await self._request(request, RUNSYNC_LIMIT_BYTES), prefix="sync-")
        wait_s = float(request.query.get("wait", RUNSYNC_WAIT_S * 1000)) / 1000
        await self._endpoint.until(lambda: job.status in FINAL, wait_s)
        return web.json_response(job.to_wire())

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response(self._job(request).to_wire())

    async def stream(self, request: web.Request) -> web.Response:
        """What the job streamed since the last look."""
        job = self._job(request)
        chunks, job.stream = job.stream, []
        return web.json_response({"status": job.status, "stream": chunks})

    async def cancel(self, request: web.Request) -> web.Response:
        job = await self._endpoint.cancel(self._job(request).id)
        return web.json_response({"id": job.id, "status": job.status})

    async def health(self, request: web.Request) -> web.Response:
        self._check_key(request)
        return web.json_response(self._endpoint.counts())

    async def purge(self, request: web.Request) -> web.Response:
        self._check_key(request)
        return web.json_response({"removed": await self._endpoint.purge(), "status": "completed"})

    async def _request(self, request: web.Request, limit_bytes: int) -> dict[str, Any]:
        self._check_key(request)
        raw = await request.read()
        if len(raw) > limit_bytes:
            raise web.HTTPRequestEntityTooLarge(limit_bytes, len(raw))
        body: dict[str, Any] = json.loads(raw)
        if "input" not in body:
            raise web.HTTPBadRequest(text="expected `input` in the request")
        return body

    def _job(self, request: web.Request) -> Job:
        self._check_key(request)
        job = self._endpoint.jobs.get(request.match_info["job"])
        if job is None:
            raise web.HTTPNotFound(text=f"no job {request.match_info['job']}")
        return job

    def _check_key(self, request: web.Request) -> None:
        if request.headers.get("Authorization") not in self._keys:
            raise web.HTTPUnauthorized(text="expected `Bearer KEY` in Authorization")
