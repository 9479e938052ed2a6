"""Whether the device of this worker computes right, whatever engine will run on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.clock import SystemClock
from runtime.telemetry import logs
from runtime.telemetry.export import exporter
from runtime.telemetry.metrics import NOBODY, START_S, Recorder
from runtime.telemetry.readings import readings_of
from runtime.telemetry.traces import start_tracing

if TYPE_CHECKING:
    import torch

    from runtime.clock import Clock
    from runtime.settings import Settings
    from runtime.worker import Worker

MIN_FREE_BYTES = 1 << 30
"""A GPU with less than this free before anything is loaded is somebody else's, or has a dead process's memory."""

_SHIFTS = (1, 5, 17)


class UnfitDevice(RuntimeError):
    """The device cannot be trusted with jobs; the worker must not take any."""


def fit_worker(
    settings: Settings,
    *,
    delivery: str | None = None,
    result_limit_bytes: int | None = None,
    clock: Clock | None = None,
) -> Worker:
    """`ready_worker` for a process that is a worker and nothing else."""
    ready = partial(ready_worker, settings, delivery=delivery, result_limit_bytes=result_limit_bytes, clock=clock)
    return telling(settings, lambda recorder: ready(recorder=recorder), clock=clock)


def telling(settings: Settings, build: Callable[[Recorder], Worker], *, clock: Clock | None = None) -> Worker:
    """The worker that `build` makes, in a process of its own: its log, traces and metrics go where the settings say."""
    log_to_stderr(settings)
    if settings.traces_endpoint is not None:
        start_tracing(settings.traces_endpoint)
    exported = exporter(settings, clock=clock)
    worker = build(exported or NOBODY)
    if exported is not None:
        exported.read(partial(readings_of, worker))
    return worker


def log_to_stderr(settings: Settings, *, alone: bool = False) -> None:
    """Where a process of ours writes its log, from which severity on, and how; `alone` in place of a platform's own."""
    logs.log_to_stderr(settings.least_severity, settings.log_format, alone=alone)


def ready_worker(
    settings: Settings,
    *,
    delivery: str | None = None,
    result_limit_bytes: int | None = None,
    clock: Clock | None = None,
    recorder: Recorder = NOBODY,
) -> Worker:
    """A worker that is ready for its first job, on a device that was checked before anything was loaded to it.

    Raises UnfitDevice.
    """
    from runtime.build import build

    clock = clock or SystemClock()
    begun = clock.monotonic()
    check_device(settings.device)
    worker = build(settings, delivery=delivery, result_limit_bytes=result_limit_bytes, clock=clock, recorder=recorder)
    worker.prepare()
    recorder.observe(START_S, clock.monotonic() - begun)
    return worker


def check_device(name: str, *, min_free_bytes: int = MIN_FREE_BYTES, dev: Path = Path("/dev")) -> None:
    """Pass if the device is usable, has memory free and multiplies matrices right.

    `name` is `auto`, `cpu`, `cuda` or `cuda:N`. `auto` on a machine without a GPU is the CPU; with a GPU under `dev`
    that torch cannot use, it fails, since jobs would run a hundred times slower. Raises UnfitDevice with what was found
    and what was expected.
    """
    import torch

    usable = torch.cuda.is_available()
    if not usable and name != "cpu":
        _refuse_unusable_gpu(name, dev)
    device = torch.device(name if name != "auto" else "cuda" if usable else "cpu")
    try:
        _check_gpu(device, min_free_bytes) if device.type == "cuda" else _check_product(device, torch.float32, size=128)
    except UnfitDevice:
        raise
    except RuntimeError as exc:
        raise UnfitDevice(f"{device} failed its first computation: {exc}") from exc


def _refuse_unusable_gpu(name: str, dev: Path) -> None:
    import torch

    gpus = sorted(path.name for path in dev.glob("nvidia[0-9]*"))
    if gpus or name != "auto":
        raise UnfitDevice(
            f"device {name} was asked for and the machine has {', '.join(gpus) or 'no GPU'}, but torch "
            f"{torch.__version__} (CUDA {torch.version.cuda}) finds none to use with the driver {_driver_version()}: "
            f"expected a driver at least as new as torch's CUDA, or the device cpu"
        )


def _driver_version() -> str:
    """The NVIDIA kernel module's version, `unknown` where it does not tell."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").split()
    except OSError:
        return "unknown"
    return next((word for word in words if word[:1].isdigit() and "." in word), "unknown")


def _check_gpu(device: torch.device, min_free_bytes: int) -> None:
    import torch

    free, total = torch.cuda.mem_get_info(device)
    if free < min_free_bytes:
        raise UnfitDevice(
            f"{device} ({torch.cuda.get_device_name(device)}) has {free >> 20} MiB of {total >> 20} MiB free: "
            f"expected at least {min_free_bytes >> 20} MiB before a model is loaded"
        )
    for dtype in (torch.float16, torch.float32):
        _check_product(device, dtype, size=1024)


def _check_product(device: torch.device, dtype: torch.dtype, *, size: int) -> None:
    """Compare a product with its closed form.

    The sum of cyclic shift matrices S_k, times M, is the sum of M's rows shifted by k. All values are whole numbers of
    at most 3 * 64, which float16 and TF32 hold exactly, so nothing but equality will do.
    """
    import torch

    identity = torch.eye(size, dtype=dtype, device=device)
    matrix = (torch.arange(size * size, device=device).reshape(size, size) % 129 - 64).to(dtype)
    product = _shifted(identity) @ matrix
    if wrong := int((product != _shifted(matrix)).sum()):
        raise UnfitDevice(f"{device} computed {wrong} of {size * size} values of a {dtype} matrix product wrong")


def _shifted(rows: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.stack([rows.roll(shift, dims=0) for shift in _SHIFTS]).sum(dim=0)
