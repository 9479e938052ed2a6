"""Measure the comfyui engine beside the same checkout behind worker-comfyui's way of working.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.bench.engines [--requests 60] [--starts 3]

Runs in the interpreter that has ComfyUI's requirements, and httpx and websockets beside them. The other side is
ComfyUI's own server in a process of its own, and a client that does for each job what worker-comfyui's handler.py does
(github:runpod-workers/worker-comfyui): ask whether the server is up, connect a websocket, post the prompt, wait for the
message that nothing executes any more, read the history, fetch each picture, encode it in base64.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.bench.measure import Figure, interleaved, print_table

Workflow = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.05  # worker-comfyui's
_TIMEOUT_S = 300
_JOBS = 200
_WARM_JOBS = 10


def main() -> int:
    """Print the table; the exit status is 1 where a figure is over its bound."""
    parser = argparse.ArgumentParser(description="Measure the comfyui engine beside worker-comfyui's way of working.")
    parser.add_argument("--requests", type=int, default=60, help="requests of each kind, on each side in turn")
    parser.add_argument("--starts", type=int, default=3, help="cold starts on each side in turn")
    parser.add_argument("--first", action="store_true", help="run one job and print how the boot went; used by itself")
    arguments = parser.parse_args()
    if arguments.first:
        return _first_picture()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        figures = list(_figures(Path(name), arguments.requests, arguments.starts))
    return print_table(figures)


def _figures(folder: Path, requests: int, starts: int) -> Iterator[Figure]:
    yield _cold_start(folder, starts)
    with _own_worker(folder) as own, _server(folder) as port:
        theirs = HandlerClient(port)
        yield _overhead(own, theirs, requests)
        yield _chain(own, theirs, max(3, requests // 6))
        yield _memory(own)


def _overhead(own: Callable[[Workflow], None], theirs: HandlerClient, requests: int) -> Figure:
    ours_s, theirs_s = _in_turn(own, theirs, lambda n: picture(color=n), requests)
    return Figure(
        name="a request for a 64x64 picture, in the handler's process",
        value=ours_s * 1000,
        unit="ms",
        bound="a third",
        holds=ours_s <= theirs_s / 3,
        beside=f"behind ComfyUI's server: {theirs_s * 1000:.1f} ms",
    )


def _chain(own: Callable[[Workflow], None], theirs: HandlerClient, requests: int) -> Figure:
    ours_s, theirs_s = _in_turn(own, theirs, lambda n: chain(color=n), requests)
    return Figure(
        name="a chain of 100 ImageInvert on 8x8, in the handler's process",
        value=ours_s * 1000,
        unit="ms",
        bound="60 ms",
        holds=ours_s <= 0.060,
        beside=f"behind ComfyUI's server: {theirs_s * 1000:.0f} ms",
    )


def _cold_start(folder: Path, starts: int) -> Figure:
    phases: list[dict[str, float]] = []

    def ours() -> float:
        started = time.perf_counter()
        command = [sys.executable, "-m", "scripts.bench.engines", "--first"]
        with subprocess.Popen(command, env=_environment(folder), cwd=_ROOT, stdout=subprocess.PIPE) as process:
            line = process.stdout.readline() if process.stdout else b""
            seconds = time.perf_counter() - started  # to the picture, and not to the end of the process
        phases.append(json.loads(line))
        return seconds

    def theirs() -> float:
        started = time.perf_counter()
        with _server(folder) as port:
            HandlerClient(port).run(picture(color=1))
            return time.perf_counter() - started

    seconds = {
        name: statistics.median(taken) for name, taken in interleaved({"ours": ours, "theirs": theirs}, starts).items()
    }
    shown = ", ".join(f"{name} {statistics.median(p[name] for p in phases) / 1000:.1f}" for name in phases[0])
    return Figure(
        name="from nothing to the first picture",
        value=seconds["ours"],
        unit="s",
        bound="0.8 of it",
        holds=seconds["ours"] <= 0.8 * seconds["theirs"],
        beside=f"behind ComfyUI's server: {seconds['theirs']:.1f} s; ours in s: {shown}",
    )


def _memory(own: Callable[[Workflow], None]) -> Figure:
    for job in range(_WARM_JOBS):
        own(picture(color=1000 + job))
    before = _resident_bytes()
    for job in range(_JOBS - _WARM_JOBS):
        own(picture(color=2000 + job))
    grown = (_resident_bytes() - before) / 1e6
    return Figure(
        name=f"memory grown from job {_WARM_JOBS} to job {_JOBS}",
        value=grown,
        unit="MB",
        bound="20 MB",
        holds=grown <= 20,
        beside=f"{before / 1e6:.0f} MB held",
    )


def _in_turn(
    own: Callable[[Workflow], None], theirs: HandlerClient, make: Callable[[int], Workflow], requests: int
) -> tuple[float, float]:
    """The median seconds of a request on either side; no two have the same picture."""
    count = iter(range(10**6))

    def timed(run: Callable[[Workflow], None]) -> float:
        workflow = make(next(count))
        started = time.perf_counter()
        run(workflow)
        return time.perf_counter() - started

    figures = interleaved({"ours": lambda: timed(own), "theirs": lambda: timed(theirs.run)}, requests)
    return statistics.median(figures["ours"]), statistics.median(figures["theirs"])


def picture(*, color: int) -> Workflow:
    """EmptyImage -> SaveImage."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "bench"}},
    }


def chain(*, color: int, length: int = 100) -> Workflow:
    """EmptyImage -> ImageInvert, `length` times -> SaveImage."""
    image = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": color}}
    inverts = {
        str(n): {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]}} for n in range(1, length + 1)
    }
    save = {"class_type": "SaveImage", "inputs": {"images": [str(length), 0], "filename_prefix": "bench"}}
    return {"0": image, **inverts, "save": save}


class HandlerClient:
    """What worker-comfyui's handler does with ComfyUI's server for one job."""

    def __init__(self, port: int) -> None:
        self._host = f"127.0.0.1:{port}"

    def run(self, workflow: Workflow) -> None:
        """Run the workflow; its pictures in base64 are what the handler would answer."""
        import httpx
        from websockets.sync.client import connect

        self.wait_until_up()
        client_id = str(uuid.uuid4())
        with connect(f"ws://{self._host}/ws?clientId={client_id}") as socket_:
            posted = httpx.post(f"http://{self._host}/prompt", json={"prompt": workflow, "client_id": client_id})
            prompt_id = posted.raise_for_status().json()["prompt_id"]
            while not _is_end(socket_.recv(_TIMEOUT_S), prompt_id):
                pass
        history = httpx.get(f"http://{self._host}/history/{prompt_id}").raise_for_status().json()
        pictures = [entry for output in history[prompt_id]["outputs"].values() for entry in output["images"]]
        if not [base64.b64encode(self._fetch(entry)) for entry in pictures]:
            raise RuntimeError("ComfyUI's server made no picture")

    def wait_until_up(self) -> None:
        """Ask every 50 ms until the server answers."""
        import httpx

        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://{self._host}/").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(_POLL_S)
        raise RuntimeError(f"ComfyUI's server did not answer within {_TIMEOUT_S} s")

    def _fetch(self, entry: Mapping[str, str]) -> bytes:
        import httpx

        return httpx.get(f"http://{self._host}/view", params=dict(entry)).raise_for_status().content


def _is_end(message: str | bytes, prompt_id: str) -> bool:
    if isinstance(message, bytes):
        return False
    told = json.loads(message)
    data = told.get("data", {})
    if told.get("type") == "execution_error":
        raise RuntimeError(f"ComfyUI's server failed: {data.get('exception_message')}")
    return told.get("type") == "executing" and data.get("node") is None and data.get("prompt_id") == prompt_id


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """ComfyUI's own server, started as worker-comfyui starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    base = folder / "server"
    for name in ("input", "output", "custom_nodes", "models", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    options = ["--disable-auto-launch", "--disable-metadata", "--base-directory", str(base), "--port", str(port)]
    command = [sys.executable, "-u", str(_checkout() / "main.py"), *options, *_on_cpu()]
    with subprocess.Popen(command, env=_environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        try:
            yield port
        finally:
            p.terminate()


class OwnWorker:
    """A worker of ours whose every job runs on the checkout, in this process, with the embedded stores."""

    def __init__(self, folder: Path) -> None:
        from runtime.build import build
        from runtime.settings import Settings

        _install_stand_ins()
        settings = Settings(
            comfyui_path=_checkout(),
            engine="comfyui",
            models_path=_made(folder / "models"),
            data_path=_made(folder / "data"),
        )
        self._worker = build(settings, delivery="base64")

    def __call__(self, workflow: Workflow) -> None:
        """Run a job to its result, with its pictures in base64."""
        from runtime.request import JobRequest

        result = self._worker.run(JobRequest.parse({"workflow": workflow})[0])
        if not result.images:
            raise RuntimeError(f"the job made no picture: {result.error}")

    def phases_ms(self) -> Mapping[str, float]:
        """How long each phase of the boot took."""
        engine: Any = self._worker._parts.engines.get("comfyui")
        phases: Mapping[str, float] = engine.health()["phases_ms"]
        return phases

    def close(self) -> None:
        self._worker.close()


@contextmanager
def _own_worker(folder: Path) -> Iterator[OwnWorker]:
    worker = OwnWorker(folder)
    try:
        yield worker
    finally:
        worker.close()


def _first_picture() -> int:
    """A process of our own from its start to its first picture; prints how long each phase of the boot took."""
    with tempfile.TemporaryDirectory(prefix="bench-first-") as name, _own_worker(Path(name)) as own:
        own(picture(color=1))
        print(json.dumps(own.phases_ms()), flush=True)
    return 0


def _environment(folder: Path) -> dict[str, str]:
    """The environment of a process of either side: with the stand-ins where torchvision and torchaudio are absent."""
    site = _made(folder / "site")
    (site / "sitecustomize.py").write_text("from scripts.parity import stand_ins\n\nstand_ins.install_absent()\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(_ROOT), *filter(None, sys.path)])}


def _install_stand_ins() -> None:
    from scripts.parity import stand_ins

    stand_ins.install_absent()


def _checkout() -> Path:
    return Path(os.environ["COMFYUI_PATH"])


def _on_cpu() -> list[str]:
    import torch

    return [] if torch.cuda.is_available() else ["--cpu"]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":
    sys.exit(main())
