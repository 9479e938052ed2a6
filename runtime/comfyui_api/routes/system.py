"""What clients ask of the server itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from runtime.comfyui_api.access import Manager, Parts, Reader
from runtime.comfyui_api.bodies import object_in

if TYPE_CHECKING:
    from runtime.api.parts import ApiParts

router = APIRouter()

SPOKEN = "0.3.64"
"""The release of ComfyUI whose API this is: clients look at it to know what they may ask."""


@router.get("/system_stats")
def system_stats(parts: Parts, principal: Reader) -> dict[str, Any]:
    """The machine of the worker in this process, as far as there is one."""
    total, free = _memory()
    here = parts.api.worker is not None and parts.api.worker.is_built
    system = {
        "os": os.name,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": SPOKEN,
        "python_version": sys.version,
        "pytorch_version": _torch_version() if here else None,
        "embedded_python": False,
        "argv": [],
    }
    return {"system": system, "devices": list(_devices(total, free)) if here else []}


@router.get("/features")
def features(parts: Parts, principal: Reader) -> Mapping[str, Any]:
    """What this server can do beyond what every client expects."""
    return server_features(parts.api)


@router.get("/i18n")
@router.get("/workflow_templates")
def nothing_by_custom_nodes(principal: Reader) -> Mapping[str, Any]:
    """Translations and templates that custom nodes bring: they bring none to the page here."""
    return {}


@router.post("/free")
async def free(request: Request, parts: Parts, principal: Manager) -> Response:
    """Give memory back once what is queued has ended: by `unload_models` or `free_memory`, which are one here."""
    body = object_in(await request.body())
    if parts.api.free is not None and (body.get("unload_models") or body.get("free_memory")):
        parts.api.free()
    return Response()


def server_features(api: ApiParts) -> Mapping[str, Any]:
    """The server's side of the feature flags that a websocket begins with."""
    return {"supports_preview_metadata": True, "max_upload_size": api.max_file_bytes}


def _memory() -> tuple[int, int]:
    """The machine's memory, and how much of it is free, in bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page


def _torch_version() -> str:
    import torch

    return torch.__version__


def _devices(ram_total: int, ram_free: int) -> Iterator[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        yield _device("cpu", "cpu", None, ram_total, ram_free)
        return
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        yield _device(torch.cuda.get_device_name(index), "cuda", index, total, free)


def _device(name: str, type: str, index: int | None, total: int, free: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": type,
        "index": index,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": total,
        "torch_vram_free": free,
    }
