"""Which allocator torch takes for an NVIDIA GPU's memory. It reads that from the environment while it is imported."""

from __future__ import annotations

import ctypes
import logging
import os
import runpy
import shlex
import sys
from collections.abc import Callable, MutableMapping
from importlib.util import find_spec
from typing import Any

from runtime.settings import Settings

_log = logging.getLogger(__name__)

_VARIABLE = "PYTORCH_CUDA_ALLOC_CONF"  # the older of its two names, which every release from 2.6 on reads
_VARIABLES = (_VARIABLE, "PYTORCH_ALLOC_CONF")
_FIRST_WITH_POOLS = 6  # compute capability: Pascal. CUDA C++ Programming Guide, "Stream Ordered Memory Allocator"
_NVML = "libnvidia-ml.so.1"


def choose_allocator(settings: Settings, environ: MutableMapping[str, str] = os.environ) -> None:
    """Have torch, which is not imported yet, take the allocator that the settings name. Whoever has told torch decides.

    ComfyUI's own start takes CUDA's pools where the GPU has them: so does `auto`, where ComfyUI may run.
    """
    if settings.device == "cpu" or any(name in environ for name in _VARIABLES) or not _wants_pools(settings):
        return
    if "torch" in sys.modules:
        _log.warning("torch is imported already: it keeps its own allocator, and CUDA_ALLOCATOR says nothing")
        return
    environ[_VARIABLE] = "backend:cudaMallocAsync"


def _wants_pools(settings: Settings) -> bool:
    if settings.cuda_allocator != "auto":
        return settings.cuda_allocator == "async"
    arguments = shlex.split(settings.comfyui_args)
    if settings.comfyui_path is None or settings.engine == "native" or "--disable-cuda-malloc" in arguments:
        return False
    return "--cuda-malloc" in arguments or (torch_has_cuda() and gpus_have_pools())


def torch_has_cuda() -> bool:
    """Whether the torch that would be imported was built for CUDA."""
    spec = find_spec("torch")
    folders = spec.submodule_search_locations if spec is not None else None
    version = os.path.join(folders[0], "version.py") if folders else ""
    return os.path.isfile(version) and runpy.run_path(version).get("cuda") is not None


def gpus_have_pools(open_library: Callable[[str], Any] = ctypes.CDLL) -> bool:
    """Whether every NVIDIA GPU here has memory pools; so it is taken to be where none is seen, as before a snapshot.

    NVML is asked and not CUDA, which the process shall not initialise yet.
    """
    try:
        nvml = open_library(_NVML)
    except OSError:
        return True
    if nvml.nvmlInit_v2() != 0:
        return True
    try:
        return all(generation >= _FIRST_WITH_POOLS for generation in _generations(nvml))
    finally:
        nvml.nvmlShutdown()


def _generations(nvml: Any) -> list[int]:
    """The major compute capability of each GPU that tells it."""
    count, found = ctypes.c_uint(), list[int]()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(count.value):
        gpu, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
        if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(gpu)) == 0:
            asked = nvml.nvmlDeviceGetCudaComputeCapability(gpu, ctypes.byref(major), ctypes.byref(minor))
            found += [major.value] if asked == 0 else []
    return found
