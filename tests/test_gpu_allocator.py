"""Which allocator torch is told to take, and that it is told before it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.gpu_allocator import choose_allocator, gpus_have_pools, torch_has_cuda
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
POOLS = "backend:cudaMallocAsync"
TELLING_TORCH = """
import os
print("told:", os.environ.get("PYTORCH_CUDA_ALLOC_CONF"), flush=True)
os._exit(0)
"""
SNAPSHOT = """
import os
from runtime.settings import Settings
from runtime.snapshot import Snapshot
Snapshot().prepare(Settings.from_env(os.environ))
"""


class Nvml:
    """NVML of a machine whose GPUs have these major compute capabilities."""

    def __init__(self, *generations: int) -> None:
        self.generations = generations
        self.is_open = False

    def nvmlInit_v2(self) -> int:
        self.is_open = True
        return 0

    def nvmlShutdown(self) -> int:
        self.is_open = False
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.generations)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, gpu: Any) -> int:
        gpu._obj.value = index + 1
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, gpu: Any, major: Any, minor: Any) -> int:
        major._obj.value = self.generations[gpu.value - 1]
        return 0


@pytest.fixture
def torch_of_cuda(tmp_path: Path) -> Path:
    """A folder with a torch, built for CUDA, that tells what it was told and ends the process."""
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text(TELLING_TORCH)
    (package / "version.py").write_text("cuda: str | None = '12.6'\n")
    return tmp_path


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`chosen(environment)`: what torch is told in a process that has not imported it."""

    def choose(**environ: str) -> str | None:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        choose_allocator(Settings.from_env(environ), environ)
        return environ.get("PYTORCH_CUDA_ALLOC_CONF")

    return choose


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, None),
        ({"CUDA_ALLOCATOR": "native"}, None),
        ({"CUDA_ALLOCATOR": "async"}, POOLS),
        ({"CUDA_ALLOCATOR": "async", "DEVICE": "cpu"}, None),
        ({"CUDA_ALLOCATOR": "async", "PYTORCH_CUDA_ALLOC_CONF": "backend:native"}, "backend:native"),
        ({"CUDA_ALLOCATOR": "async", "PYTORCH_ALLOC_CONF": "expandable_segments:True"}, None),
        ({"COMFYUI_PATH": "/", "COMFYUI_ARGS": "--cuda-malloc"}, POOLS),
        ({"COMFYUI_PATH": "/", "COMFYUI_ARGS": "--cuda-malloc", "ENGINE": "native"}, None),
        ({"COMFYUI_PATH": "/", "COMFYUI_ARGS": "--cuda-malloc", "CUDA_ALLOCATOR": "native"}, None),
    ],
)
def test_torch_is_told_what_the_settings_say(environ: dict[str, str], told: str | None, chosen: Any) -> None:
    assert chosen(**environ) == told


@pytest.mark.parametrize(
    ("arguments", "told"), [("", POOLS), ("--disable-cuda-malloc", None)], ids=["as ComfyUI", "its argument"]
)
def test_where_comfyui_may_run_torch_takes_what_comfyui_would(
    arguments: str, told: str | None, chosen: Any, torch_of_cuda: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(torch_of_cuda)
    assert chosen(COMFYUI_PATH="/", COMFYUI_ARGS=arguments) == told


def test_a_torch_that_is_imported_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    environ = {"CUDA_ALLOCATOR": "async"}
    choose_allocator(Settings.from_env(environ), environ)
    assert environ == {"CUDA_ALLOCATOR": "async"}


def test_a_torch_for_cuda_is_told_by_its_version_file(torch_of_cuda: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(torch_of_cuda)
    assert torch_has_cuda()
    (torch_of_cuda / "torch" / "version.py").write_text("cuda = None\n")
    assert not torch_has_cuda()


@pytest.mark.parametrize(
    ("generations", "have_pools"), [((9,), True), ((8, 8), True), ((8, 5), False), ((), True)], ids=str
)
def test_every_gpu_needs_pools(generations: tuple[int, ...], have_pools: bool) -> None:
    nvml = Nvml(*generations)
    assert gpus_have_pools(lambda name: nvml) is have_pools
    assert not nvml.is_open


def test_a_machine_without_nvml_may_be_one_whose_gpu_comes_later() -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    assert gpus_have_pools(absent)


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "handlers.runpod_worker"),
        ("-m", "handlers.sqs_worker"),
        ("-c", "from runtime.commands.run import main; main(['examples/text_to_image.json'])"),
        ("-c", "from runtime.commands.serve import main; main(['--port', '0'])"),
        ("-c", SNAPSHOT),
    ],
    ids=["runpod", "sqs", "run", "serve", "snapshot"],
)
def test_it_is_told_before_it_is_imported(command: tuple[str, ...], torch_of_cuda: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(torch_of_cuda),
        "STORAGE_BASE_PATH": str(torch_of_cuda),
        "CUDA_ALLOCATOR": "async",
        "SQS_QUEUE_URL": "http://127.0.0.1:9/queue",
        "SQS_DEAD_LETTER_URL": "http://127.0.0.1:9/dead",
    }
    run = subprocess.run([sys.executable, *command], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert f"told: {POOLS}" in run.stdout, run.stderr
