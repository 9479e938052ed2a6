"""What the OpenAPI document says beyond what FastAPI reads off the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from runtime.api.problems import MEDIA_TYPE
from runtime.request import JobRequest

_REF = "#/components/schemas/{model}"

EXAMPLE: dict[str, Any] = {
    "workflow": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "example"}},
    },
    "overrides": {"1.color": 255},
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457): `detail` for people, `code` for programs.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "retryable": {"type": "boolean"},
        "node_id": {"type": "string"},
        "node_errors": {"type": "object"},
    },
}


def request_body(schema: str, example: Mapping[str, Any] = EXAMPLE) -> dict[str, Any]:
    """A route's `openapi_extra` for a body that it reads by itself."""
    content = {"schema": {"$ref": _REF.format(model=schema)}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


class DescribedApi(FastAPI):
    """An app whose document has the schemas of requests and of problems, and the latter for every refusal."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            document.setdefault("components", {}).setdefault("schemas", {}).update(_schemas())
            operations = [by_method[each] for by_method in document["paths"].values() for each in by_method]
            for operation in operations:
                _tell_of_problems(operation)
        return self.openapi_schema or {}


def _schemas() -> dict[str, Any]:
    job = JobRequest.model_json_schema(ref_template=_REF)
    schemas = job.pop("$defs", {})
    fields = {**job["properties"], "template": {"type": "string", "description": "a template's name"}}
    either = [{"required": ["workflow"]}, {"required": ["template"]}]
    one = {**job, "title": "ExecuteRequest", "properties": fields, "oneOf": either}
    one.pop("required", None)
    sets = {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 200}
    many = {**one, "title": "BatchRequest", "properties": {**fields, "overrides": sets}, "required": ["overrides"]}
    return {**schemas, "ExecuteRequest": one, "BatchRequest": many, "Problem": _PROBLEM}


def _tell_of_problems(operation: dict[str, Any]) -> None:
    problem = {"schema": {"$ref": _REF.format(model="Problem")}}
    operation.setdefault("responses", {})["default"] = {
        "description": "A problem",
        "content": {MEDIA_TYPE: problem},
    }
    operation["responses"].pop("422", None)  # FastAPI's own form, which is not what is answered
