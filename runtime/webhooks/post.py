"""One call of a webhook: short, guarded, and without a look at what is answered beside the status."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import httpcore

from runtime.errors import InputUnreachable
from runtime.fetch.access import WebAccess
from runtime.fetch.network import guarded_pool, timeouts
from runtime.fetch.web import translated
from runtime.webhooks.target import checked_url

POST_S = 15.0
"""A call takes no longer, however its receiver trickles."""


class Gone(Exception):
    """The receiver answered 410: it wants no more of this."""


def post(text: str, body: bytes, headers: Mapping[str, str], access: WebAccess) -> None:
    """POST `body` as JSON to the URL `text`; a status of 2xx is success, and no redirect is followed.

    Raises InputRejected for an address that is out of bounds, Gone for a 410, InputUnreachable for every other failure.
    None of them repeats more of the URL than its host: a path may be what opens it, as a query may.
    """
    url = checked_url(text, access)
    shown = replace(url, path="", query="")
    ends_at = time.monotonic() + POST_S

    def check() -> None:
        if time.monotonic() >= ends_at:
            raise InputUnreachable(f"{shown} did not answer within {POST_S:g} s")

    target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
    own = {"Host": url.authority, "Content-Type": "application/json", "User-Agent": "comfyui-serverless"}
    lines = [*own.items(), ("Content-Length", str(len(body))), *headers.items()]
    with (
        translated(shown, access),
        guarded_pool(access, check=check) as pool,
        pool.stream("POST", target, headers=lines, content=body, extensions={"timeout": timeouts(access)}) as response,
    ):
        status = response.status
        response.close()  # what it says beside the status is not read, however much it is
    if status == 410:
        raise Gone
    if not 200 <= status < 300:
        raise InputUnreachable(f"{shown} answered {status}, expected 2xx")
