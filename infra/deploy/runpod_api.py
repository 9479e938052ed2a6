"""RunPod's REST API, version 2: resources at api.runpod.io, and the jobs of an endpoint at the addresses it names.

Version 2 because version 1 is being retired (docs.runpod.io/api-reference-v2/migrate-from-v1), and because the GraphQL
API that the runpod package calls answers 200 to what it refuses, has no logs, and makes an endpoint and its template in
two steps that can part.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from infra.deploy.errors import DeployError

URL = "https://api.runpod.io/v2"
KEY_VARIABLE = "RUNPOD_API_KEY"
_KEYS_PAGE = "https://console.runpod.io/user/settings"
_TRIES = 5
_QUIET_S = 5.0
"""How long a log that is not followed is waited for."""


class RunpodApi:
    """Calls by RUNPOD_API_KEY; `pause` waits so many seconds. Each may raise DeployError, saying what to do next."""

    def __init__(self, *, url: str = URL, pause: Callable[[float], None] = time.sleep) -> None:
        self._url = url
        self.pause = pause

    def list(self, path: str, field: str) -> list[dict[str, Any]]:
        """All resources of a kind."""
        found: list[dict[str, Any]] = self.call("GET", path)[field]
        return found

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What RunPod answers, as JSON; None for no content. `path` is below the API's address, or an address.

        A refusal for too many calls, and a fault of a call that changes nothing, is met by calling again. A call that
        makes something is made once: whether it was heard, the next run sees.
        """
        url = path if path.startswith("http") else self._url + path
        for attempt in range(_TRIES):
            try:
                reply = self._send(method, url, body)
            except httpx.TransportError as exc:
                if method != "GET" or attempt == _TRIES - 1:
                    raise DeployError(
                        f"RunPod did not answer {method} {path}: {type(exc).__name__}. Run the command again: it goes "
                        "on from what is there"
                    ) from exc
                self.pause(2.0**attempt)
                continue
            again = reply.status_code == 429 or (method == "GET" and reply.status_code >= 500)
            if not again or attempt == _TRIES - 1:
                return _answer(reply, f"{method} {path}")
            self.pause(_wait_s(reply, attempt))
        raise AssertionError("the last attempt returns or raises")

    def log_lines(self, path: str, *, follow: bool) -> Iterator[str]:
        """The newest hundred lines of a worker's log, and those that come where it is followed."""
        timeout = httpx.Timeout(30.0, read=None if follow else _QUIET_S)
        try:
            with httpx.stream("GET", f"{self._url}{path}?tail=100", headers=_headers(), timeout=timeout) as reply:
                for line in reply.iter_lines():
                    if line.startswith("data:"):
                        yield str(json.loads(line[len("data:") :])["line"])
        except httpx.ReadTimeout:
            return
        except httpx.TransportError as exc:
            raise DeployError(f"RunPod's log ended: {type(exc).__name__}") from exc

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> httpx.Response:
        return httpx.request(method, url, json=body, headers=_headers(), timeout=60.0)


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise DeployError(f"{KEY_VARIABLE} is not set: RunPod's keys are made at {_KEYS_PAGE}")
    return {"Authorization": f"Bearer {key}"}


def _answer(reply: httpx.Response, what: str) -> Any:
    if reply.status_code in (401, 403):
        raise DeployError(
            f"RunPod refused {KEY_VARIABLE} for {what} ({reply.status_code}): make one that may read and write at "
            f"{_KEYS_PAGE}"
        )
    try:
        answer = reply.json() if reply.content else None
    except ValueError as exc:
        raise DeployError(f"RunPod answered {what} with {reply.status_code} and no JSON") from exc
    if reply.status_code >= 400:
        told = answer if isinstance(answer, dict) else {}
        reason = str(told.get("detail") or told.get("error") or "no reason given")
        problems = [reason, *map(str, told.get("errors", ()))]
        raise DeployError(f"RunPod refused {what} ({reply.status_code}): {'; '.join(problems)}")
    return answer


def _wait_s(reply: httpx.Response, attempt: int) -> float:
    asked = reply.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 2.0**attempt
