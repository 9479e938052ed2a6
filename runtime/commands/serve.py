"""`comfyui-serverless serve`: the HTTP API with a worker in the same process."""

from __future__ import annotations

import argparse
import ipaddress
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.errors import SettingsInvalid
from runtime.fitness import log_to_stderr
from runtime.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server

_KEEP_ALIVE_S = 65  # longer than a load balancer's minute, so that it is the one who hangs up
_GRACE_S = 10
_MOST_FILES = 65_536
_FILES_OF_JOBS = 512  # stores, models, pictures on their way
_LONGEST_MESSAGE = 1 << 20  # of what a websocket's client says; it is told whatever there is


def main(words: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM, by which the running job is handed back. Answers 2 for what cannot be served."""
    parser = argparse.ArgumentParser(
        prog="comfyui-serverless serve", description="The HTTP API, with a worker in the same process."
    )
    parser.add_argument("--host", help="the address to listen on (HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on (PORT, 8000)")
    parser.add_argument("--comfyui-port", type=int, help="a port for ComfyUI's own API and web page (COMFYUI_PORT)")
    arguments = parser.parse_args(list(words))
    try:
        settings = Settings.load()
        host = arguments.host or settings.host
        _require_token(settings, host)
        port = settings.port if arguments.port is None else arguments.port
        comfyui_port = settings.comfyui_port if arguments.comfyui_port is None else arguments.comfyui_port
        ports = [port, *([comfyui_port] if comfyui_port else [])]
        listener, *more = listeners = [_listener(host, each) for each in ports]
        settings = _with_links_here(settings, host, listener.getsockname()[1])
        server = _server(settings, host, [socket.getsockname()[1] for socket in more])
    except SettingsInvalid as exc:
        print(f"comfyui-serverless serve: {exc.message}", file=sys.stderr)
        return 2
    log_to_stderr(settings)
    port = listener.getsockname()[1]
    tokens = "with tokens" if settings.secret_key else "without tokens, for this machine alone"
    print(f"serving on http://{host}:{port} {tokens}; /docs shows the API; Ctrl-C ends it", file=sys.stderr)
    if comfyui_port:
        print(f"ComfyUI's own API is on http://{host}:{comfyui_port}", file=sys.stderr)
    if settings.bucket is None and not settings.public_url.rstrip("/").endswith(f":{port}"):
        print(f"links lead to {settings.public_url} (PUBLIC_URL), which must lead here", file=sys.stderr)
    sys.stderr.flush()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn ends by it, and then raises it again for its parent
        signal.signal(number, lambda *_: None)
    server.run(sockets=listeners)
    return 0


def _with_links_here(settings: Settings, host: str, port: int) -> Settings:
    """The settings, links leading to this very server where none say where and only this machine can follow them."""
    if not _is_loopback(host) or "public_url" in settings.model_fields_set:
        return settings
    here = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return settings.model_copy(update={"public_url": here})


def _server(settings: Settings, host: str, comfyui_ports: Sequence[int]) -> Server:
    """The server of the HTTP API, and of ComfyUI's own on the ports that are its."""
    try:
        import uvicorn

        from runtime.api.build import build_api

        app: ASGIApp = (api := build_api(settings, here_alone=_is_loopback(host)))
        if comfyui_ports:
            from runtime.comfyui_api.app import build_comfyui_app
            from runtime.comfyui_api.by_port import ByPort

            app = ByPort(api, dict.fromkeys(comfyui_ports, build_comfyui_app(api.state.parts)))
    except ModuleNotFoundError as exc:
        raise SettingsInvalid(f"serve needs {exc.name}: pip install -c constraints.txt -e '.[worker,api]'") from exc
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=_LONGEST_MESSAGE,
        log_level=settings.least_severity.lower(),
        log_config=None,  # it logs as everything else here does
        access_log=False,  # a request's line may hold a link
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=most_connections(),
        server_header=False,
    )
    return uvicorn.Server(config)


def most_connections() -> int:
    """How many connections may be open at a time, further ones being answered 503: files are left for the jobs here.

    The process may open as many files as the system lets it, from here on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # the kernel of a Mac has a bound of its own, which it does not tell
            wanted = soft
    return max(wanted - _FILES_OF_JOBS, wanted // 2)


def _require_token(settings: Settings, host: str) -> None:
    if (settings.secret_key is None or settings.disable_auth) and not _is_loopback(host):
        raise SettingsInvalid(
            f"--host {host} can be reached from elsewhere, and SECRET_KEY is not set: "
            "set one (`openssl rand -hex 32`), so that a token is asked for"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OverflowError as exc:
        raise SettingsInvalid(f"the port is {port}; expected 0 to 65535") from exc
    except OSError as exc:
        reason = (exc.strerror or str(exc)).partition(" (while")[0]  # Python's own text names the address once more
        raise SettingsInvalid(
            f"{host}:{port} cannot be listened on: {reason}; choose another --port or --host"
        ) from exc
