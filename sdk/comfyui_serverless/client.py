"""The client: submit a workflow, follow it, save what it made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from types import TracebackType
from typing import Any, TypeVar

import httpx

from comfyui_serverless import flow, requests
from comfyui_serverless.outputs import Output, Result, result_of
from comfyui_serverless.progress_bar import progress_bar
from comfyui_serverless.requests import Image, Request
from comfyui_serverless.settings import Deployment, deployment_from_env, deployment_of
from comfyui_serverless.states import JobState
from comfyui_serverless.workflows import Workflow

T = TypeVar("T")


class Client:
    """Speaks to one deployment: `Client("http://host:8000")`, `Client(runpod="ENDPOINT_ID")`, `Client(modal="APP")`,
    `Client.from_env()`.

    `token` is an API key or an access token; without it the environment's COMFYUI_SERVERLESS_TOKEN or RUNPOD_API_KEY.
    Safe to use from several threads. Calls that did not come through are made again, and a job that is submitted again
    is the same job. Raises ClientError for what cannot be sent, ApiError and TransportError for what could not be.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        runpod: str | None = None,
        modal: str | None = None,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._open(deployment_of(url, runpod, token, os.environ, modal=modal), transport)

    @classmethod
    def from_env(cls, *, transport: httpx.BaseTransport | None = None) -> Client:
        """The client of the deployment that the environment names."""
        client = cls.__new__(cls)
        client._open(deployment_from_env(os.environ), transport)
        return client

    def submit(
        self,
        workflow: Workflow,
        overrides: Mapping[str, Any] | None = None,
        *,
        images: Mapping[str, Image] | None = None,
        job_id: str | None = None,
        **options: Any,
    ) -> Job:
        """Send a workflow and answer its job at once.

        `overrides` are values by `NODE.input` (a node's id, title or class_type), by an input's name, or `seed`;
        `images` are files for the graph's loaders by the name that they have there. `options` are further fields of a
        request: `output`, `priority`, `timeout_s`, `previews`, `user_id`, `webhook`, ...
        """
        asked = requests.make_request(workflow, overrides, images, job_id, options)
        return Job(self, self._run(requests.submit(self._backend, asked)), asked)

    def run(self, workflow: Workflow, overrides: Mapping[str, Any] | None = None, **options: Any) -> Result:
        """`submit`, and wait for the result."""
        return self.submit(workflow, overrides, **options).result()

    def map(
        self, workflow: Workflow, overrides: Iterable[Mapping[str, Any]], *, concurrency: int = 8, **options: Any
    ) -> Iterator[Result]:
        """One job for each of `overrides`, `concurrency` at a time; their results in that order, as they come."""
        with ThreadPoolExecutor(concurrency, thread_name_prefix="comfyui-serverless") as pool:
            waiting = [pool.submit(self.run, workflow, each, **options) for each in overrides]
            try:
                for job in waiting:
                    yield job.result()
            finally:
                for job in waiting:
                    job.cancel()

    def job(self, job_id: str) -> Job:
        """A job that was submitted before. Raises NotFound."""
        return Job(self, self._run(self._backend.look(job_id)), None)

    def jobs(
        self,
        *,
        user_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        status: str | None = None,
    ) -> Mapping[str, Any]:
        """A page of jobs, newest first, or of those of one `status`: `jobs`, and `cursor` for the next page."""
        return self._run(self._backend.list(user_id=user_id, limit=limit, cursor=cursor, status=status))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __repr__(self) -> str:
        return f"Client({str(self._http.base_url)!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self, deployment: Deployment, transport: httpx.BaseTransport | None) -> None:
        self._backend = deployment.backend
        self._token = deployment.token
        self._http = httpx.Client(base_url=deployment.backend.base_url, transport=transport)

    def _run(self, steps: flow.Flow[T]) -> T:
        with closing(steps):
            return flow.run(steps, self._http, self._token)


class Job:
    """A job at a deployment. `state` is as of the last look."""

    def __init__(self, client: Client, state: JobState, asked: Request | None) -> None:
        self._client = client
        self._asked = asked
        self.state = state

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.status!r})"

    @property
    def id(self) -> str:
        """What the deployment knows the job by."""
        return self.state.job_id

    @property
    def status(self) -> str:
        """`pending`, `running`, `completed`, `failed`, `cancelled` or `timed_out`, as of the last look."""
        return self.state.status

    def refresh(self) -> JobState:
        """Look again."""
        self.state = self._client._run(self._client._backend.look(self.id))
        return self.state

    def events(self) -> Iterator[JobState]:
        """The job's states from now on, each that differs from the one before; the last one is its end."""
        yield self.state
        while not self.state.has_ended:
            before, self.state = self.state, self._changed(requests.LOOK_S)
            if self.state != before:
                yield self.state

    def result(self, timeout: float | None = None, *, progress: bool = False) -> Result:
        """Wait for the end, at most `timeout` seconds, and answer what was made; `progress` shows how far it is.

        Raises JobError where the job did not complete, WaitTimeout where it has not ended by then.
        """
        with progress_bar(self.id) if progress else nullcontext() as show:

            def seen(state: JobState) -> None:
                self.state = state
                if show is not None:
                    show(state)

            seen(self.state)
            self._client._run(requests.ended(self._client._backend, self.state, timeout=timeout, seen=seen))
        return result_of(self.state.wire, self._fetch)

    def cancel(self) -> JobState:
        """Ask for the job's end. One that has ended stays as it is."""
        self.state = self._client._run(self._client._backend.cancel(self.id))
        return self.state

    def _changed(self, wait_s: float) -> JobState:
        return self._client._run(requests.changed(self._client._backend, self.state, wait_s=wait_s))

    def _fetch(self, output: Output) -> bytes:
        return self._client._run(requests.download(self._client._backend, self._asked, self.id, output))
