"""Calls as flows: what is asked and waited for, apart from how. One description serves both clients.

A flow is a generator. It yields a `Call` and is sent the `Reply`, or has TransportFailed thrown into it; it yields a
`Pause` and is sent None when that is over; it yields an `Ask` and is sent what that returns, or has thrown into it what
that raises; it returns its answer. `run` drives it with httpx's client, `run_async` with its asynchronous one.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from comfyui_serverless.errors import TransportError, api_error

T = TypeVar("T")

RETRIES = 5
"""How often a call is made again that did not come through; each is safe to make twice."""
_RETRIED = (429, 502, 503, 504)
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP call. `url` is absolute, or a path below the deployment's. `timeout_s` is for its answer."""

    method: str
    url: str
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    files: Mapping[str, tuple[str, bytes]] | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    with_token: bool = True


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A call by a platform's own library, which has its own connections. It may wait."""

    call: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back; `headers` by lower-case names."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON. Raises TransportError where it is none: no deployment of ours answered."""
        try:
            return json.loads(self.content)
        except ValueError as exc:
            raise TransportError(f"the answer ({self.status}) is no JSON: {self.content[:100]!r}") from exc


class TransportFailed(Exception):
    """The call did not come through."""


Flow = Generator[Call | Pause | Ask, Any, T]


def request(call: Call) -> Flow[Reply]:
    """Make the call, again where that may help. Raises ApiError for a refusal, TransportError where nobody answers."""
    for attempt in range(RETRIES + 1):
        is_last = attempt == RETRIES
        try:
            reply: Reply = yield call
        except TransportFailed as exc:
            if is_last:
                raise TransportError(f"{call.method} {call.url.partition('?')[0]}: {exc}") from exc
            yield Pause(seconds=_pause_s(attempt, None))
            continue
        if reply.status not in _RETRIED or is_last:
            return _accepted(reply)
        yield Pause(seconds=_pause_s(attempt, reply.headers.get("retry-after")))
    raise AssertionError("the last attempt returns or raises")


def run(flow: Flow[T], client: httpx.Client, token: str | None) -> T:
    """Drive a flow on the calling thread."""
    reply: Any = None
    failure: Exception | None = None
    while True:
        try:
            step = flow.throw(failure) if failure else flow.send(reply)
        except StopIteration as done:
            answer: T = done.value
            return answer
        reply = failure = None
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            continue
        if isinstance(step, Ask):
            try:
                reply = step.call()
            except Exception as exc:  # the flow knows what the library raises
                failure = exc
            continue
        try:
            reply = _reply(client.send(_request(client, step, token), follow_redirects=False))
        except httpx.TransportError as exc:
            failure = TransportFailed(_reason(exc))


async def run_async(flow: Flow[T], client: httpx.AsyncClient, token: str | None) -> T:
    """Drive a flow on the running event loop."""
    reply: Any = None
    failure: Exception | None = None
    while True:
        try:
            step = flow.throw(failure) if failure else flow.send(reply)
        except StopIteration as done:
            answer: T = done.value
            return answer
        reply = failure = None
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            continue
        if isinstance(step, Ask):
            try:
                reply = await asyncio.to_thread(step.call)
            except Exception as exc:  # the flow knows what the library raises
                failure = exc
            continue
        try:
            reply = _reply(await client.send(_request(client, step, token), follow_redirects=False))
        except httpx.TransportError as exc:
            failure = TransportFailed(_reason(exc))


def _request(client: httpx.Client | httpx.AsyncClient, call: Call, token: str | None) -> httpx.Request:
    headers = {"Authorization": f"Bearer {token}"} if token and call.with_token else {}
    return client.build_request(
        call.method,
        call.url,
        json=call.json,
        params=dict(call.params) or None,
        data=dict(call.form) if call.form else None,
        files=dict(call.files) if call.files else None,
        headers=headers,
        timeout=call.timeout_s,
    )


def _reply(response: httpx.Response) -> Reply:
    return Reply(status=response.status_code, headers=dict(response.headers), content=response.content)


def _reason(exc: httpx.TransportError) -> str:
    return f"{exc or type(exc).__name__} (at {exc.request.url.netloc.decode()})"


def _accepted(reply: Reply) -> Reply:
    """The reply, if it is no refusal. Raises ApiError in the deployment's own words."""
    if reply.status < 400:
        return reply
    try:
        problem = json.loads(reply.content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": reply.content[:200].decode("utf-8", "replace") or f"HTTP status {reply.status}"}
    if isinstance(problem.get("error"), dict):  # a job's own result, answered with the status of its error
        return reply
    message = str(problem.get("detail") or problem.get("error") or problem.get("title"))
    raise api_error(reply.status, str(problem.get("code") or f"http_{reply.status}"), message)


def _pause_s(attempt: int, retry_after: str | None) -> float:
    if retry_after is not None and retry_after.isdigit():
        return min(_LONGEST_PAUSE_S, float(retry_after))
    jitter = 0.5 + random.random()  # noqa: S311 - no secret
    return min(_LONGEST_PAUSE_S, 0.25 * jitter * float(2**attempt))
