"""The job that a deployment ends with: one picture, whose pixels are known, through everything but a model."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from infra.deploy.errors import DeployError

SIDE = 64
RGB = (34, 139, 230)


def smoke_request(job_id: str) -> dict[str, Any]:
    """A request for one square of one colour, in the result itself."""
    colour = RGB[0] << 16 | RGB[1] << 8 | RGB[2]
    return {
        "workflow": {
            "square": {
                "class_type": "EmptyImage",
                "inputs": {"width": SIDE, "height": SIDE, "batch_size": 1, "color": colour},
            },
            "save": {"class_type": "SaveImage", "inputs": {"images": ["square", 0], "filename_prefix": "smoke"}},
        },
        "job_id": job_id,
        "engine": "native",
        "output": {"format": "png", "delivery": "base64"},
    }


def check_smoke(result: Mapping[str, Any]) -> str:
    """What to say of a result whose picture is the one. Raises DeployError for any other result."""
    from PIL import Image

    if result.get("status") != "completed":
        error = result.get("error_detail") or result.get("error") or result
        raise DeployError(f"the smoke job ended as {result.get('status', 'failed')}: {str(error)[:500]}; see the logs")
    images = result.get("images") or [{}]
    try:
        with Image.open(io.BytesIO(base64.b64decode(images[0]["data"], validate=True))) as picture:
            found = (picture.size, picture.convert("RGB").getcolors(2))
    except (KeyError, ValueError, OSError) as exc:
        raise DeployError(f"the smoke job completed without a picture in its result: {exc!r}") from exc
    if found != ((SIDE, SIDE), [(SIDE * SIDE, RGB)]):
        raise DeployError(f"the smoke job's picture is {found[0]} of {found[1]}; expected {SIDE} x {SIDE} of {RGB}")
    return f"smoke job completed on the {result['engine']} engine, its picture is right"
