"""Measure how fast a checkpoint comes from the volume into memory, beside what the machine gives and other loaders.

    python -m scripts.bench.load [--runs 3] [--gb 4] [--network-gb 1] [--folder DIR] [--only PART ...]

needs `pip install -e '.[bench]'` for the libraries that it is compared with, as much room in DIR (by default the
system's temporary folder) and memory as the checkpoint takes, and for the network volume /dev/fuse and fusermount3.
Every run is a process of its own, loaders take turns, and medians are printed. Nothing else should read meanwhile.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from scripts.bench import slow_volume
from scripts.bench.measure import Figure, print_table

_ROOT = Path(__file__).resolve().parents[2]
_MODULES = {"runai-model-streamer": "runai_model_streamer", "fastsafetensors": "fastsafetensors"}
_PARTS = ("cold", "warm", "switch", "network")
_STAGING_BYTES = 512e6
# Widths of SD's and SDXL's layers, in values: biases, projections, convolutions.
_SIZES = (
    320,
    640,
    1280,
    320 * 320,
    640 * 640,
    1280 * 1280,
    320 * 320 * 9,
    640 * 320 * 9,
    1280 * 10240,
    2560 * 1280 * 9,
)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """One run's figures."""

    seconds: float
    rate: float
    extra_bytes: int


def main() -> int:
    """Print the tables; the exit status is 1 where a figure is over its bound."""
    parser = argparse.ArgumentParser(description="Measure loaders.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--gb", type=float, default=4)
    parser.add_argument("--network-gb", type=float, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-load-", dir=arguments.folder) as name:
        return print_table(_figures(Path(name), arguments))


def _figures(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    parts = arguments.only
    if "cold" in parts or "warm" in parts:
        path = _checkpoint(folder / "checkpoint.safetensors", arguments.gb)
        if "cold" in parts:
            yield from _cold(path, arguments.runs)
        if "warm" in parts:
            yield _warm(path, arguments.runs)
        path.unlink()
    if "switch" in parts:
        yield _switch(arguments.runs)
    if "network" not in parts:
        return
    if reason := slow_volume.why_not():
        print(f"the network volume is left out: {reason}", file=sys.stderr)
        return
    path = _checkpoint(folder / "remote" / "checkpoint.safetensors", arguments.network_gb)
    yield from _network(path, folder / "mounted", arguments.runs)


def _checkpoint(path: Path, gigabytes: float) -> Path:
    """A checkpoint of mixed tensor sizes, in three parts as Stable Diffusion's."""
    import torch
    from safetensors.torch import save_file

    chance, generator = random.Random(0), torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    size = 0
    while size < gigabytes * 1e9:
        count = min(chance.choice(_SIZES), int(gigabytes * 1e9 - size) // 2 + 1)
        part = ("model.diffusion_model", "first_stage_model", "cond_stage_model")[min(2, len(tensors) % 9 % 4)]
        values = torch.randint(0, 1 << 14, (count,), generator=generator, dtype=torch.int16)
        tensors[f"{part}.layers.{len(tensors)}.weight"] = values.view(torch.float16)
        size += 2 * count
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)
    return path


def _cold(path: Path, runs: int) -> Iterator[Figure]:
    """From a local disk that has to be read."""
    taken = _in_turn({name: partial(_cold_run, name, path) for name in ("raw", *_loaders())}, runs)
    rates = {name: statistics.median(run.rate for run in of) for name, of in taken.items()}
    share = rates["ours"] / rates["raw"]
    best = max(rate for name, rate in rates.items() if name not in ("ours", "raw"))
    beside = ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items() if name != "ours")
    yield Figure(
        name=f"{path.stat().st_size / 1e9:.1f} GB from a local disk, page cache empty, of parallel direct reads",
        value=share,
        unit="times",
        bound="at least 0.9",
        holds=share >= 0.9,
        beside=f"{rates['ours']:.2f} GB/s; {beside}",
    )
    yield Figure(
        name="the same against the fastest other loader",
        value=rates["ours"] / best,
        unit="times",
        bound="at least 1",
        holds=rates["ours"] >= best,
        beside=f"{rates['ours']:.2f} and {best:.2f} GB/s",
    )
    extras = {name: statistics.median(run.extra_bytes for run in taken[name]) for name in _loaders()}
    yield Figure(
        name="the same, most memory beyond the tensors",
        value=extras["ours"] / 1e6,
        unit="MB",
        bound="512 MB",
        holds=extras["ours"] <= _STAGING_BYTES,
        beside=", ".join(f"{name} {size / 1e6:.0f}" for name, size in extras.items() if name != "ours"),
    )


def _warm(path: Path, runs: int) -> Figure:
    """From the page cache."""
    path.read_bytes()
    taken = _in_turn({name: partial(_run, name, path) for name in ("copy", *_loaders())}, runs)
    rates = {name: statistics.median(run.rate for run in of) for name, of in taken.items()}
    beside = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items() if name != "ours")
    return Figure(
        name="the same file out of the page cache, against a plain copy in memory",
        value=rates["ours"] / rates["copy"],
        unit="times",
        bound="at least 0.9",
        holds=rates["ours"] >= 0.9 * rates["copy"],
        beside=f"{rates['ours']:.1f} GB/s, every page touched; {beside}",
    )


def _network(path: Path, mountpoint: Path, runs: int) -> Iterator[Figure]:
    """From a volume of 5 ms a request and 1 GB/s."""
    path.read_bytes()
    mountpoint.mkdir()
    with _mounted(path.parent, mountpoint):
        there = mountpoint / path.name
        taken = _in_turn({name: partial(_run, name, there, "--direct") for name in ("raw", *_loaders())}, runs)
    rates = {name: statistics.median(run.rate for run in of) for name, of in taken.items()}
    limit = min(1.0, rates["raw"])
    beside = ", ".join(f"{name} {rate:.3f}" for name, rate in rates.items() if name != "ours")
    yield Figure(
        name=f"{path.stat().st_size / 1e9:.1f} GB from a network volume (5 ms a request, 1 GB/s), of what it gives",
        value=rates["ours"] / limit,
        unit="times",
        bound="at least 0.85",
        holds=rates["ours"] >= 0.85 * limit,
        beside=f"{rates['ours']:.3f} GB/s; {beside}",
    )
    yield Figure(
        name="the same against `safetensors.torch.load_file`",
        value=rates["ours"] / rates["safetensors"],
        unit="times",
        bound="at least 5",
        holds=rates["ours"] >= 5 * rates["safetensors"],
        beside=f"{rates['ours']:.3f} and {rates['safetensors']:.3f} GB/s",
    )


def _switch(runs: int) -> Figure:
    """A model's copy from RAM, as it comes back from there, against a plain copy of as many bytes."""
    command = [sys.executable, "-m", "scripts.bench.switch"]
    shares, seconds = [], []
    for _ in range(runs):
        answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
        moved, copied = map(float, answer.stdout.split())
        shares.append(copied / moved)
        seconds.append(moved)
    return Figure(
        name="a network of 1.7 GB out of RAM, against a plain copy of its bytes (no GPU: memory stands for the bus)",
        value=statistics.median(shares),
        unit="times",
        bound="at least 0.8",
        holds=statistics.median(shares) >= 0.8,
        beside=f"{statistics.median(seconds):.2f} s",
    )


def _loaders() -> list[str]:
    """Those that are installed, ours first."""
    others = [name for name, module in _MODULES.items() if find_spec(module)]
    if missing := sorted(_MODULES.keys() - set(others)):
        print(f"left out, since they are not installed: {', '.join(missing)}", file=sys.stderr)
    return ["ours", "safetensors", *others]


def _in_turn(commands: Mapping[str, Callable[[], _Taken]], runs: int) -> dict[str, list[_Taken]]:
    """Each command's runs, in rounds in which they take turns."""
    taken: dict[str, list[_Taken]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            taken[name].append(command())
    return taken


def _cold_run(name: str, path: Path) -> _Taken:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    return _run(name, path, "--direct")


def _run(name: str, path: Path, *options: str) -> _Taken:
    command = [sys.executable, "-m", "scripts.bench.load_one", name, str(path), *options]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    seconds, size, extra = answer.stdout.split()[-3:]
    return _Taken(seconds=float(seconds), rate=int(size) / float(seconds) / 1e9, extra_bytes=int(extra))


@contextmanager
def _mounted(folder: Path, mountpoint: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "scripts.bench.slow_volume", str(folder), str(mountpoint)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as server:
        if server.stdin is None or server.stdout is None or server.stdout.readline() != "ready\n":
            raise RuntimeError("the slow volume could not be mounted")
        try:
            yield
        finally:
            server.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
