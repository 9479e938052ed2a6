"""The side that RunPod's worker library talks to: take, done, stream, stop, ping (runpod/serverless/modules)."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from .endpoint import Endpoint, Job, Ping

RESULT_LIMIT_BYTES = 20_000_000
"""A larger result is refused with 400, as RunPod does; the library then logs the refusal and the result is lost."""


class WorkerRoutes:
    """Long polls are held for up to the given seconds. A worker shows the bare key in `Authorization`."""

    def __init__(self, endpoint: Endpoint, *, api_key: str, hold_s: float, stop_hold_s: float) -> None:
        self._endpoint = endpoint
        self._api_key = api_key
        self._hold_s = hold_s
        self._stop_hold_s = stop_hold_s

    def routes(self) -> list[web.RouteDef]:
        base = "/v2/{endpoint}"
        return [
            web.get(base + "/job-take/{worker}", self.take),
            web.get(base + "/job-take-batch/{worker}", self.take_batch),
            web.post(base + "/job-done/{worker}/{job}", self.done),
            web.post(base + "/job-stream/{worker}/{job}", self.stream),
            web.get(base + "/job-stop/{worker}", self.stop),
            web.get(base + "/ping/{worker}", self.ping),
        ]

    async def take(self, request: web.Request) -> web.Response:
        jobs = await self._take(request, 1)
        return web.json_response(_offer(jobs[0])) if jobs else web.Response(status=204)

    async def take_batch(self, request: web.Request) -> web.Response:
        jobs = await self._take(request, int(request.query["batch_size"]))
        return web.json_response([_offer(job) for job in jobs]) if jobs else web.Response(status=204)

    async def done(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        await self._endpoint.report(request.match_info["worker"], request.match_info["job"], body)
        return web.json_response({})

    async def stream(self, request: web.Request) -> web.Response:
        await self._endpoint.add_to_stream(request.match_info["job"], await self._body(request))
        return web.json_response({})

    async def stop(self, request: web.Request) -> web.Response:
        self._check_key(request)
        job_ids = await self._endpoint.stop_signals(request.match_info["worker"], self._stop_hold_s)
        return web.json_response({"jobsToStop": job_ids}) if job_ids else web.Response(status=204)

    async def ping(self, request: web.Request) -> web.Response:
        self._check_key(request)
        ping = Ping(
            worker_id=request.match_info["worker"],
            job_ids=tuple(filter(None, request.query.get("job_id", "").split(","))),
            status=request.query.get("status"),
            check=request.query.get("check"),
            reason=request.query.get("reason"),
        )
        await self._endpoint.ping(ping)
        return web.json_response({})

    async def _take(self, request: web.Request, count: int) -> list[Job]:
        self._check_key(request)
        return await self._endpoint.take(request.match_info["worker"], count, self._hold_s)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        """The JSON that the library sends under the content type of a form."""
        self._check_key(request)
        raw = await request.read()
        if len(raw) > RESULT_LIMIT_BYTES:
            raise web.HTTPBadRequest(text=f"the result of {len(raw)} bytes is over {RESULT_LIMIT_BYTES}")
        body: dict[str, Any] = json.loads(raw)
        return body

    def _check_key(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != self._api_key:
            raise web.HTTPUnauthorized(text="expected the worker's key in Authorization")


def _offer(job: Job) -> dict[str, Any]:
    return {"id": job.id, "input": job.input}
