"""The text that saved pictures carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def png_text(prompt: Mapping[str, Any], extra_pnginfo: Mapping[str, Any]) -> Mapping[str, str]:
    """The text chunks of a PNG as ComfyUI writes them: the graph as `prompt`, and what the request gave beside it."""
    return {"prompt": json.dumps(prompt), **{name: json.dumps(value) for name, value in extra_pnginfo.items()}}
