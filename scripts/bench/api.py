"""Measure the HTTP API: submit, status and list one after the other and by many at once, and 500 clients on events.

    python -m scripts.bench.api [--requests 400] [--clients 8] [--watchers 500]

The server is a process of its own with the embedded stores, whose worker runs the jobs meanwhile. Beside each route the
same clients ask for `/health/liveness`, which touches no store: what HTTP itself costs on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from scripts.bench.measure import machine

_ROUNDS = 3
_CODE = "import sys; from comfyui_serverless.command import main; sys.exit(main())"
Ask = Callable[[httpx.AsyncClient], Awaitable[None]]


@dataclass(kw_only=True)
class Route:
    """One route's answers: seconds of each, and how many came in a second, round by round."""

    name: str
    ask: Ask
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def row(self, base: float) -> str:
        """A line of a Markdown table; `base` is the rate of the bare route."""
        p50, p95, p99 = (1000 * _percentile(self.seconds, share) for share in (0.5, 0.95, 0.99))
        rate = statistics.median(self.rates)
        return f"| {self.name} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {rate:.0f} | {rate / base:.2f} |"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Measure the HTTP API.")
    parser.add_argument("--requests", type=int, default=400, help="of each route in each of the rounds")
    parser.add_argument("--clients", type=int, default=8, help="at a time")
    parser.add_argument("--watchers", type=int, default=500, help="on the events of one job at once")
    arguments = parser.parse_args()
    with _server() as address:
        routes, watched = asyncio.run(_measure(address, arguments))
    base = statistics.median(routes[0].rates)
    print(f"{machine()}\n")
    print("| route | p50 ms | p95 ms | p99 ms | requests/s | of a bare route |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(route.row(base) for route in routes))
    print(f"\n{watched}")


async def _measure(address: str, arguments: argparse.Namespace) -> tuple[list[Route], str]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=arguments.clients)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        job_id = (await client.post("/workflows/execute?wait=60", json={"workflow": _graph(0)})).json()["job_id"]
        routes = _routes(job_id)
        for _, route in itertools.product(range(_ROUNDS), routes):
            await _round(route, client, arguments.requests, arguments.clients)
            await _idle(client)
        return routes, await _watch(client, arguments.watchers)


def _routes(job_id: str) -> list[Route]:
    colors = itertools.count(1)

    def get(path: str) -> Ask:
        async def ask(client: httpx.AsyncClient) -> None:
            (await client.get(path)).raise_for_status()

        return ask

    async def submit(client: httpx.AsyncClient) -> None:
        body = {"workflow": _graph(next(colors)), "user_id": "bench"}
        (await client.post("/workflows/execute", json=body)).raise_for_status()

    return [
        Route(name="`GET /health/liveness`", ask=get("/health/liveness")),
        Route(name="`POST /workflows/execute`", ask=submit),
        Route(name="`GET /workflows/{id}`", ask=get(f"/workflows/{job_id}")),
        Route(name="`GET /workflows?limit=50`", ask=get("/workflows?limit=50&user_id=bench")),
    ]


async def _round(route: Route, client: httpx.AsyncClient, requests: int, clients: int) -> None:
    left = iter(range(requests))

    async def work() -> None:
        for _ in left:
            began = time.perf_counter()
            await route.ask(client)
            route.seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    route.rates.append(requests / (time.perf_counter() - began))


async def _idle(client: httpx.AsyncClient) -> None:
    """Wait until no job waits: the next round shall not pay for this one."""
    while (await client.get("/health")).json()["waiting"]:
        await asyncio.sleep(0.1)


async def _watch(client: httpx.AsyncClient, watchers: int) -> str:
    """Let so many follow one job from before its beginning to its end."""
    gate = {"workflow": _slow_graph(), "job_id": "watched", "user_id": "bench"}
    await client.post("/workflows/execute", json=gate)
    opened = asyncio.Semaphore(0)

    async def follow() -> tuple[float, bool]:
        async with client.stream("GET", "/workflows/watched/events") as answer:
            told = ""
            async for text in answer.aiter_text():
                if not told:
                    opened.release()
                told += text
        return time.perf_counter(), '"status": "completed"' in told

    began = time.perf_counter()
    tasks = [asyncio.create_task(follow()) for _ in range(watchers)]
    for _ in range(watchers):
        await opened.acquire()
    all_open_s = time.perf_counter() - began
    ended = await asyncio.gather(*tasks)
    times = [at for at, _ in ended]
    complete = sum(is_complete for _, is_complete in ended)
    return (
        f"{watchers} clients on the events of one job: the last heard of it after {all_open_s:.2f} s, {complete} were "
        f"told its end, the last of them {max(times) - min(times):.2f} s after the first"
    )


def _graph(color: int) -> dict[str, Any]:
    size = {"width": 8, "height": 8, "batch_size": 1, "color": color % 0xFFFFFF}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "bench"}},
    }


def _slow_graph() -> dict[str, Any]:
    """Some 120 pictures scaled up and down, for the watchers to be there in time."""
    graph = _graph(0xFF)
    for number in range(3, 123):
        before = "1" if number == 3 else str(number - 1)
        side = 2000 + number % 2
        given = {"image": [before, 0], "upscale_method": "bicubic", "width": side, "height": side, "crop": "disabled"}
        graph[str(number)] = {"class_type": "ImageScale", "inputs": given}
    graph["2"]["inputs"]["images"] = ["122", 0]
    return graph


def _percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


@contextmanager
def _server() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench-api-") as folder:
        env = {**os.environ, "STORAGE_BASE_PATH": folder, "DEVICE": "cpu", "LOG_LEVEL": "WARNING"}
        env |= {"PUBLIC_URL": f"http://127.0.0.1:{port}"}
        command = [sys.executable, "-c", _CODE, "serve", "--port", str(port)]
        with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(f"http://127.0.0.1:{port}/health/readiness", process)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the server ended with status {process.returncode}")


if __name__ == "__main__":
    main()
