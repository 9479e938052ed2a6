"""The machine here: Python, torch, the GPU, the volume and the models on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.doctor.finding import Finding
from runtime.settings import Settings

_BUNDLE = Path(__file__).resolve().parents[2]
_READ_BYTES = 512 << 20
_PIECE = 8 << 20
_SLOW_MB_S = 200
_MOST_NAMED = 5
_GB = 1e9


def python() -> Iterator[Finding]:
    """The version against the image's."""
    wanted, found = _dockerfile_arg("PYTHON_VERSION"), platform.python_version()
    if wanted and not found.startswith(f"{wanted}."):
        yield Finding(name="python", state="warning", said=f"{found}; the image has {wanted}")
    else:
        yield Finding(name="python", state="ok", said=found)


def torch_and_gpu(settings: Settings) -> Iterator[Finding]:
    """Torch against its pin, CUDA, the driver, the device that jobs would run on and its memory."""
    import torch

    pinned = _pin("torch")
    is_pinned = pinned in (None, torch.__version__.partition("+")[0])
    mend = "" if is_pinned else f"; pinned is {pinned}: pip install -c constraints.txt -e '.[worker]'"
    yield Finding(name="torch", state="ok" if is_pinned else "warning", said=f"{torch.__version__}{mend}")
    driver = _driver()
    if not torch.cuda.is_available():
        wants = settings.device.startswith("cuda") or driver is not None
        reason = (
            f"driver {driver} is there, but torch (CUDA {torch.version.cuda}) cannot use it" if driver else "no GPU"
        )
        mend = "install a torch for this driver's CUDA, or a newer driver" if wants else "jobs run on the CPU, slowly"
        yield Finding(name="gpu", state="wrong" if wants else "warning", said=f"{reason}: {mend}")
        return
    free, total = torch.cuda.mem_get_info()
    said = f"{torch.cuda.get_device_name()}, driver {driver}, CUDA {torch.version.cuda}"
    yield Finding(name="gpu", state="ok", said=f"{said}, {free / _GB:.1f} of {total / _GB:.1f} GB free")


def device(settings: Settings) -> Iterator[Finding]:
    """Whether the device computes right, as every worker checks before its first job."""
    from runtime.fitness import UnfitDevice, check_device

    try:
        check_device(settings.device)
    except UnfitDevice as exc:
        yield Finding(name="device", state="wrong", said=str(exc))
    else:
        yield Finding(name="device", state="ok", said=f"{settings.device} multiplies right")


def volume(settings: Settings) -> Iterator[Finding]:
    """The models folder, its room, and how fast its largest file is read, past the page cache where that can be."""
    folder = settings.models_path
    if not folder.is_dir():
        yield Finding(
            name="volume", state="wrong", said=f"{folder} is no folder: mount the volume, or set COMFYUI_MODELS_PATH"
        )
        return
    free = shutil.disk_usage(folder).free
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        said = f"{folder} is empty: `comfyui-serverless models sync` brings the manifest's models"
        yield Finding(name="volume", state="warning", said=said)
        return
    largest = max(files, key=lambda path: path.stat().st_size)
    size, seconds = _read(largest)
    speed = size / 1e6 / max(seconds, 1e-9)
    said = f"{folder}, {free / _GB:.0f} GB free, {speed:.0f} MB/s over {size / 1e6:.0f} MB of {largest.name}"
    if speed < _SLOW_MB_S and size >= _PIECE:
        said += f"; below {_SLOW_MB_S} MB/s a checkpoint takes long: a volume nearer to the GPU, or models in the image"
        yield Finding(name="volume", state="warning", said=said)
    else:
        yield Finding(name="volume", state="ok", said=said)


def models(settings: Settings) -> Iterator[Finding]:
    """What the manifest's deployment has, against the volume."""
    from runtime.models.sync.assembly import build_manifest

    wanted = build_manifest(settings).of(settings.deployment).models
    missing = [model.path for model in wanted if not (settings.models_path / model.path).is_file()]
    if missing:
        named = ", ".join(map(str, missing[:_MOST_NAMED])) + (", ..." if len(missing) > _MOST_NAMED else "")
        said = f"{len(missing)} of {len(wanted)} are not on the volume ({named}): `comfyui-serverless models sync`"
        yield Finding(name="models", state="wrong", said=said)
    else:
        yield Finding(name="models", state="ok", said=f"all {len(wanted)} of the manifest are on the volume")


def _read(path: Path) -> tuple[int, float]:
    """Bytes read, at most half a gigabyte, and the seconds that they took."""
    held, began = 0, time.perf_counter()
    with path.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.perf_counter()
        while held < _READ_BYTES and (piece := file.read(_PIECE)):
            held += len(piece)
    return held, time.perf_counter() - began


def _driver() -> str | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    asked = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - no shell
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else None


def _dockerfile_arg(name: str) -> str | None:
    return _found(_BUNDLE / "Dockerfile.gpu", rf"^ARG {name}=(\S+)$")


def _pin(package: str) -> str | None:
    return _found(_BUNDLE / "constraints.txt", rf"^{package}==([^\s;]+)")


def _found(path: Path, pattern: str) -> str | None:
    if not path.is_file():
        return None
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return match.group(1) if match else None
