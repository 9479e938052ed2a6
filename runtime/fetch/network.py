"""Connections to checked addresses only: the guard against requests that would reach into the worker's own network.

A host is resolved once for each connection, every address that it has is checked, and the connection goes to one of
these very addresses, so that a second, different answer of the name server is never asked for. TLS and the Host
header keep the name. It serves everything that calls a URL out of a request: input files and webhooks.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from runtime.errors import InputRejected
from runtime.fetch.access import WebAccess
from runtime.fetch.addresses import is_public
from runtime.fetch.resolve import resolve_within

_MAX_ADDRESSES = 8
_READ_SLICE_S = 0.25
_SHORTEST_WAIT_S = 0.001  # 0 would mean not to wait at all
_PLAIN_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024


def guarded_pool(access: WebAccess, *, check: Callable[[], None] = lambda: None) -> httpcore.ConnectionPool:
    """A pool for one transfer, which follows no redirect by itself and whose waits call `check`, which may raise.

    Its requests raise InputRejected for a host or port that is out of bounds, InputUnreachable for an unknown host,
    and httpcore's own errors. Give it the time-outs of `timeouts(access)`.
    """
    return httpcore.ConnectionPool(
        ssl_context=access.ssl_context,
        network_backend=GuardedNetwork(access, check=check),
        max_keepalive_connections=0,
    )


def timeouts(access: WebAccess) -> dict[str, float]:
    """The `timeout` extension of a request through a guarded pool, in seconds."""
    connect_s, read_s = access.connect_timeout_s, access.read_timeout_s
    return {"connect": connect_s, "read": read_s, "write": read_s, "pool": connect_s}


class GuardedNetwork(httpcore.NetworkBackend):
    """Opens TCP connections to public addresses alone, or to any where `access` allows private ones."""

    def __init__(self, access: WebAccess, *, check: Callable[[], None]) -> None:
        self._access = access
        self._check = check
        self._network = access.network or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that answers, once all of them have passed."""
        timeout = self._access.connect_timeout_s if timeout is None else timeout
        ends_at = time.monotonic() + timeout
        addresses = self._checked_addresses(host, port, timeout_s=timeout)
        for tried, address in enumerate(addresses):
            self._check()
            share_s = max(ends_at - time.monotonic(), _SHORTEST_WAIT_S) / (len(addresses) - tried)
            try:
                stream = self._network.connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(addresses) - 1:
                    raise
            else:
                return _PatientStream(stream, check=self._check)
        raise httpcore.ConnectError(f"no address of {host!r}")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Refused: a socket of this machine is never what a request may reach."""
        raise InputRejected(f"unix socket {path!r} is not to be reached")

    def _checked_addresses(self, host: str, port: int, *, timeout_s: float) -> list[str]:
        if not self._access.allow_private and port not in _PLAIN_PORTS and port < _FIRST_FREE_PORT:
            raise InputRejected(f"port {port} of host {host!r} is not allowed, expected 80, 443 or 1024 and above")
        addresses = resolve_within(self._access.resolve, host, timeout_s=timeout_s, check=self._check)
        if not self._access.allow_private and not all(is_public(address) for address in addresses):
            raise InputRejected(f"host {host!r} is not on the public internet")
        return list(addresses)[:_MAX_ADDRESSES]


class _PatientStream(httpcore.NetworkStream):
    """A stream whose reads wait in short slices with `check` between them, so that a silent server holds nobody up."""

    def __init__(self, stream: httpcore.NetworkStream, *, check: Callable[[], None]) -> None:
        self._stream = stream
        self._check = check

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        ends_at = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            self._check()
            left_s = max(ends_at - time.monotonic(), _SHORTEST_WAIT_S)
            try:
                return self._stream.read(max_bytes, timeout=min(left_s, _READ_SLICE_S))
            except httpcore.ReadTimeout:
                if time.monotonic() >= ends_at:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._check()
        self._stream.write(buffer, timeout=timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _PatientStream(self._stream.start_tls(ssl_context, server_hostname, timeout), check=self._check)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
