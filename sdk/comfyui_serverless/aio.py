"""The asynchronous client: the same verbs, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import closing, nullcontext
from types import TracebackType
from typing import Any, TypeVar

import httpx

from comfyui_serverless import flow, requests
from comfyui_serverless.errors import ClientError
from comfyui_serverless.outputs import Output, Result, result_of
from comfyui_serverless.progress_bar import progress_bar
from comfyui_serverless.requests import Image, Request
from comfyui_serverless.settings import Deployment, deployment_from_env, deployment_of
from comfyui_serverless.states import JobState
from comfyui_serverless.workflows import Workflow

T = TypeVar("T")


class AsyncClient:
    """`Client`, awaited. What an output holds is fetched by `await job.download(output)`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        runpod: str | None = None,
        modal: str | None = None,
        token: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._open(deployment_of(url, runpod, token, os.environ, modal=modal), transport)

    @classmethod
    def from_env(cls, *, transport: httpx.AsyncBaseTransport | None = None) -> AsyncClient:
        """See Client.from_env."""
        client = cls.__new__(cls)
        client._open(deployment_from_env(os.environ), transport)
        return client

    async def submit(
        self,
        workflow: Workflow,
        overrides: Mapping[str, Any] | None = None,
        *,
        images: Mapping[str, Image] | None = None,
        job_id: str | None = None,
        **options: Any,
    ) -> AsyncJob:
        """See Client.submit."""
        asked = requests.make_request(workflow, overrides, images, job_id, options)
        return AsyncJob(self, await self._run(requests.submit(self._backend, asked)), asked)

    async def run(self, workflow: Workflow, overrides: Mapping[str, Any] | None = None, **options: Any) -> Result:
        """`submit`, and wait for the result."""
        job = await self.submit(workflow, overrides, **options)
        return await job.result()

    async def map(
        self, workflow: Workflow, overrides: Iterable[Mapping[str, Any]], *, concurrency: int = 8, **options: Any
    ) -> AsyncIterator[Result]:
        """See Client.map."""
        turns = asyncio.Semaphore(concurrency)

        async def one(each: Mapping[str, Any]) -> Result:
            async with turns:
                return await self.run(workflow, each, **options)

        waiting = [asyncio.ensure_future(one(each)) for each in overrides]
        try:
            for job in waiting:
                yield await job
        finally:
            for job in waiting:
                job.cancel()

    async def job(self, job_id: str) -> AsyncJob:
        """A job that was submitted before. Raises NotFound."""
        return AsyncJob(self, await self._run(self._backend.look(job_id)), None)

    async def jobs(
        self,
        *,
        user_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        status: str | None = None,
    ) -> Mapping[str, Any]:
        """See Client.jobs."""
        return await self._run(self._backend.list(user_id=user_id, limit=limit, cursor=cursor, status=status))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"AsyncClient({str(self._http.base_url)!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self, deployment: Deployment, transport: httpx.AsyncBaseTransport | None) -> None:
        self._backend = deployment.backend
        self._token = deployment.token
        self._http = httpx.AsyncClient(base_url=deployment.backend.base_url, transport=transport)

    async def _run(self, steps: flow.Flow[T]) -> T:
        with closing(steps):
            return await flow.run_async(steps, self._http, self._token)


class AsyncJob:
    """`Job`, awaited."""

    def __init__(self, client: AsyncClient, state: JobState, asked: Request | None) -> None:
        self._client = client
        self._asked = asked
        self.state = state

    def __repr__(self) -> str:
        return f"AsyncJob({self.id!r}, {self.status!r})"

    @property
    def id(self) -> str:
        """What the deployment knows the job by."""
        return self.state.job_id

    @property
    def status(self) -> str:
        """See Job.status."""
        return self.state.status

    async def refresh(self) -> JobState:
        """Look again."""
        self.state = await self._client._run(self._client._backend.look(self.id))
        return self.state

    async def events(self) -> AsyncIterator[JobState]:
        """See Job.events."""
        yield self.state
        while not self.state.has_ended:
            before, self.state = self.state, await self._changed(requests.LOOK_S)
            if self.state != before:
                yield self.state

    async def result(self, timeout: float | None = None, *, progress: bool = False) -> Result:
        """See Job.result."""
        with progress_bar(self.id) if progress else nullcontext() as show:

            def seen(state: JobState) -> None:
                self.state = state
                if show is not None:
                    show(state)

            seen(self.state)
            await self._client._run(requests.ended(self._client._backend, self.state, timeout=timeout, seen=seen))
        return result_of(self.state.wire, _awaited)

    async def download(self, output: Output) -> bytes:
        """What an output of this job holds, by a link that is signed anew where its own has ended."""
        if output.data is not None:
            return output.data
        return await self._client._run(requests.download(self._client._backend, self._asked, self.id, output))

    async def cancel(self) -> JobState:
        """See Job.cancel."""
        self.state = await self._client._run(self._client._backend.cancel(self.id))
        return self.state

    async def _changed(self, wait_s: float) -> JobState:
        return await self._client._run(requests.changed(self._client._backend, self.state, wait_s=wait_s))


def _awaited(output: Output) -> bytes:
    raise ClientError(f"{output.filename} is fetched by `await job.download(output)`: this client is asynchronous")
