"""What graphs can be made of here: node types and models; and whether a graph is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from runtime.api.access import Advised, Parts, Reader
from runtime.api.advice import Adviser
from runtime.api.bodies import read_body, request_of
from runtime.api.errors import NotFound
from runtime.api.openapi import request_body
from runtime.api.parts import ApiParts

router = APIRouter(tags=["catalogue"])


@router.get("/nodes")
def nodes(principal: Reader, adviser: Advised) -> Mapping[str, Any]:
    """The node types, in the form of ComfyUI's object_info."""
    return adviser.object_info()


@router.get("/nodes/{class_type}")
def node(class_type: str, principal: Reader, adviser: Advised) -> Mapping[str, Any]:
    """One node type."""
    found = adviser.object_info().get(class_type)
    if found is None:
        raise NotFound(f"there is no node type {class_type[:100]!r} here")
    return {class_type: found}


@router.get("/models")
def models(parts: Parts, principal: Reader) -> Mapping[str, Any]:
    """The models on the volume, by folder."""
    if parts.models is None:
        raise NotFound("this instance has no volume of its own to look at")
    return parts.models()


@router.post("/workflows/validate", openapi_extra=request_body("ExecuteRequest"))
async def validate(request: Request, parts: Parts, principal: Reader, adviser: Advised) -> dict[str, Any]:
    """What would become of a request: every problem of its graph by node, in ComfyUI's terms. Nothing is run."""
    data = read_body(await request.body())
    return await run_in_threadpool(_validated, parts, adviser, principal.tenant, data)


@router.post("/workflows/convert", openapi_extra=request_body("ExecuteRequest"))
async def convert(request: Request, parts: Parts, principal: Reader, adviser: Advised) -> dict[str, Any]:
    """The workflow in API format, its overrides in place: from the editor's format, or a picture that carries one."""
    data = read_body(await request.body())
    wanted = await run_in_threadpool(request_of, parts, principal.tenant, data)
    return {"workflow": await run_in_threadpool(adviser.convert, wanted)}


def _validated(parts: ApiParts, adviser: Adviser, tenant: str, data: Any) -> dict[str, Any]:
    engine, report = adviser.check(request_of(parts, tenant, data), tenant)
    error = report.error
    return {
        "valid": error is None,
        "engine": engine,
        "outputs": list(report.outputs),
        "node_errors": report.node_errors,
        "warnings": report.warnings,
        **({"error": {"code": error.code, "message": error.message}} if error is not None else {}),
    }
