"""What graphs can be made of here: node types and models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from runtime.api.access import Parts, Reader
from runtime.api.errors import NotFound

router = APIRouter(tags=["catalogue"])

_NO_WORKER = "this instance has no worker of its own to ask"


@router.get("/nodes")
def nodes(parts: Parts, principal: Reader) -> dict[str, Any]:
    """The node types, in the form of ComfyUI's object_info."""
    if parts.nodes is None:
        raise NotFound(_NO_WORKER)
    return dict(parts.nodes())


@router.get("/nodes/{class_type}")
def node(class_type: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """One node type."""
    found = parts.nodes().get(class_type) if parts.nodes is not None else None
    if found is None:
        raise NotFound(f"there is no node type {class_type[:100]!r} here")
    return {class_type: found}


@router.get("/models")
def models(parts: Parts, principal: Reader) -> dict[str, Any]:
    """The models on the volume, by folder."""
    if parts.models is None:
        raise NotFound(_NO_WORKER)
    return dict(parts.models())
