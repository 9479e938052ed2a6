"""What RunPod's REST API takes: the facts of its OpenAPI document, version 2.0.0, that our calls touch.

Source: runpod/docs at a900806 (2026-08-20), api-reference-v2/openapi.json; read on 2026-11-25.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

_TEXTS = {"type": "array", "items": {"type": "string"}}
_COUNT = {"type": "integer", "minimum": 0}
_CUDA = {"type": "string", "pattern": r"^\d+\.\d+$"}


def _only(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


_SCALING = {
    "oneOf": [
        _only(
            {"type": {"const": "QUEUE_DELAY"}, "queueDelay": {"type": "number", "minimum": 0.5}}, "type", "queueDelay"
        ),
        _only(
            {"type": {"const": "REQUEST_COUNT"}, "requestCount": {"type": "integer", "minimum": 1}},
            "type",
            "requestCount",
        ),
    ]
}
_GPU = {
    "pools": {**_TEXTS, "minItems": 1},
    "excludedTypes": _TEXTS,
    "count": {"type": "integer", "minimum": 1},
    "allowedCudaVersions": {"type": "array", "items": _CUDA},
    "minCudaVersion": _CUDA,
}
_CHANGEABLE = {
    "args": {"type": "string"},
    "cpu": {"type": "array", "minItems": 1},
    "dataCenterIds": _TEXTS,
    "disk": {"type": "integer", "minimum": 1},
    "env": {"type": "object", "additionalProperties": {"type": "string"}},
    "flashboot": {"enum": ["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]},
    "gpu": _only(_GPU),
    "image": {"type": "string"},
    "name": {"type": "string", "minLength": 1},
    "networkVolumes": _TEXTS,
    "ports": _TEXTS,
    "registry": {"type": ["string", "null"]},
    "scaling": _SCALING,
    "templateId": {"type": "string"},
    "timeout": {"type": "integer"},
    "workers": _only({"min": _COUNT, "max": _COUNT, "idleTimeout": {"type": "integer", "minimum": 1, "maximum": 3600}}),
}
_VOLUME = {"name": {"type": "string", "minLength": 1}, "size": {"type": "integer", "minimum": 10, "maximum": 4096}}

BODIES: dict[str, dict[str, Any]] = {
    "POST serverless": {
        **_only(
            {**_CHANGEABLE, "type": {"enum": ["QUEUE", "LOAD_BALANCER"]}, "gpu": _only(_GPU, "pools")},
            "name",
            "type",
            "scaling",
        ),
        "anyOf": [{"required": ["templateId"]}, {"required": ["image"]}],
    },
    "PATCH serverless": _only(_CHANGEABLE),
    "POST network-volumes": _only(
        {
            **_VOLUME,
            "dataCenter": {"type": "string", "minLength": 1},
            "type": {"enum": ["STANDARD", "HIGH_PERFORMANCE"]},
        },
        "name",
        "size",
        "dataCenter",
    ),
    "PATCH network-volumes": {**_only(_VOLUME), "minProperties": 1},
}
"""Bodies by call."""


def problems(call: str, body: Any) -> Iterator[str]:
    """What is wrong with a call's body, by place."""
    for error in Draft202012Validator(BODIES[call]).iter_errors(body):
        yield f"{error.json_path}: {error.message}"
