"""Who may call from within a browser: this listener's own page, and those that the deployment names.

A browser sends along what it knows of a person, and reaches this machine's own ports, whichever page makes it call. So
a page of another origin is refused (by Origin, and by Sec-Fetch-Site where a browser sends that), websockets included.
Where whoever is on this machine may do everything, only its own names are answered to, and TRUSTED_HOSTS: another name
may be a foreign page's, led here by its DNS. Otherwise TRUSTED_HOSTS bounds the names where it is set.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from runtime.api.errors import Forbidden
from runtime.api.problems import MEDIA_TYPE, problem_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_POLICY_VIOLATED = 1008


class BrowserGuard:
    """An ASGI middleware: 403 for a foreign page, and with `is_open` for a host name that is not this machine's.

    What begins with `links` is read whoever asks: a signature in it says that they may, and pages show pictures by it.
    """

    def __init__(
        self, app: ASGIApp, *, origins: tuple[str, ...], hosts: tuple[str, ...], is_open: bool, links: str | None = None
    ) -> None:
        self._app = app
        self._origins = origins
        self._hosts = hosts
        self._is_open = is_open
        self._links = links

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_asked = scope["type"] in ("http", "websocket") and not self._is_link(scope)
        reason = self._reason(Headers(scope=scope)) if is_asked else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = JSONResponse(problem_of(Forbidden(reason)), 403, media_type=MEDIA_TYPE)
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": _POLICY_VIOLATED, "reason": reason})

    def _is_link(self, scope: Scope) -> bool:
        return bool(self._links) and scope.get("method") in ("GET", "HEAD") and scope["path"].startswith(self._links)

    def _reason(self, headers: Headers) -> str | None:
        """Why the call is refused; None if it is not."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if (self._is_open or self._hosts) and not (_is_here(_name(host)) or self._is_trusted(_name(host))):
            return "this listener answers to localhost and to TRUSTED_HOSTS; without SECRET_KEY to no other name"
        if origin is None:
            is_foreign = headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
            return "a page of another site asks for this" if is_foreign else None
        if origin in self._origins or "*" in self._origins or urlsplit(origin).netloc.lower() == host.lower():
            return None
        return "a page of another origin asks for this; CORS_ORIGINS names those that may"

    def _is_trusted(self, name: str) -> bool:
        """Whether a name is among the hosts, `*.example.org` being any below that."""
        return any(host in ("*", name) or (host[:2] == "*." and name.endswith(host[1:])) for host in self._hosts)


def _name(host: str) -> str:
    """The host's name without its port."""
    return (urlsplit(f"//{host}").hostname or "") if host.isprintable() and "@" not in host else ""


def _is_here(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
