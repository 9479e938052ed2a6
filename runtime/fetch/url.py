"""A web address from a request, taken apart once so that what is checked is what is connected to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from runtime.errors import InputRejected

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_CHARACTERS = 8192
_MAX_SHOWN = 200
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_KEPT_IN_TARGET = "%/:=&?~+!$,;'@()*[]"


@dataclass(frozen=True, kw_only=True)
class WebUrl:
    """An http or https URL without user, password and fragment; `host` is ASCII, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @classmethod
    def parse(cls, text: str) -> WebUrl:
        """Raises InputRejected, which never repeats the query or a password, for anything else than a plain URL."""
        if len(text) > _MAX_CHARACTERS:
            raise InputRejected(f"a URL has {len(text)} characters, expected at most {_MAX_CHARACTERS}")
        if _UNSAFE.search(text):
            raise InputRejected("a URL holds white space, a backslash or what is no character")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as exc:
            raise InputRejected("a URL's host or port is malformed") from exc
        if port == 0:
            raise InputRejected("a URL's port is 0, expected 1 to 65535")
        scheme = parts.scheme.lower()
        if scheme not in _DEFAULT_PORTS:
            raise InputRejected(f"a URL's scheme is {scheme[:20]!r}, expected https or http")
        return cls(
            scheme=scheme,
            host=_host(parts),
            port=_DEFAULT_PORTS[scheme] if port is None else port,
            path=quote(parts.path or "/", safe=_KEPT_IN_TARGET),
            query=quote(parts.query, safe=_KEPT_IN_TARGET),
        )

    def join(self, location: str) -> WebUrl:
        """Where a redirect from here to `location` leads."""
        return WebUrl.parse(urljoin(f"{self._origin}{self.path}", location))

    @property
    def target(self) -> str:
        """What stands on the request line: path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Scheme, host and path: a query may be a signature and is not shown."""
        return f"{self._origin}{self.path}"[:_MAX_SHOWN]

    __repr__ = __str__

    @property
    def _origin(self) -> str:
        return f"{self.scheme}://{self.authority}"


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:
        raise InputRejected(f"a URL to {host!r} holds a user name or password, expected none")
    if ":" in host:
        return _ipv6(host)
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise InputRejected(f"host {host!r} is no valid host name") from exc
    if not _HOST.fullmatch(ascii_host):
        raise InputRejected(f"host {host!r} is no valid host name")
    return ascii_host


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError as exc:
        raise InputRejected(f"host {host!r} is no valid IPv6 address") from exc
    if address.scope_id is not None:
        raise InputRejected(f"host {host!r} names a network interface, expected a plain address")
    return str(address)
