"""Workflows kept under a name: `{"template": NAME}` in a request runs one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from runtime.api.access import Executor, Parts, Reader
from runtime.api.templates import Template

router = APIRouter(prefix="/templates", tags=["templates"])

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["portrait"])]


class NewTemplate(BaseModel):
    """A workflow, in API format or the editor's, and what it is for."""

    model_config = ConfigDict(extra="forbid")

    workflow: Annotated[
        dict[str, Any], Field(min_length=1, examples=[{"1": {"class_type": "EmptyImage", "inputs": {}}}])
    ]
    description: str = Field(default="", max_length=1000)


@router.get("")
def list_templates(parts: Parts, principal: Reader) -> dict[str, Any]:
    """The caller's templates by name, without their workflows."""
    return {"templates": [_listed(template) for template in parts.templates.list(principal.tenant)]}


@router.get("/{name}")
def get(name: Name, parts: Parts, principal: Reader) -> dict[str, Any]:
    """One template with its workflow."""
    template = parts.templates.get(principal.tenant, name)
    return {**_listed(template), "workflow": template.workflow}


@router.put("/{name}")
def put(name: Name, body: NewTemplate, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Keep a workflow under a name, in place of the one that had it."""
    return _listed(parts.templates.put(principal.tenant, name, body.workflow, body.description))


@router.delete("/{name}", status_code=204)
def delete(name: Name, parts: Parts, principal: Executor) -> Response:
    """Forget a template. Jobs that were made of it stay as they are."""
    parts.templates.delete(principal.tenant, name)
    return Response(status_code=204)


def _listed(template: Template) -> dict[str, Any]:
    return {name: value for name, value in vars(template).items() if name != "workflow"}
