"""What a file's suffix says of its content: our own table, as a machine's differs from the next one's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

UNKNOWN = "application/octet-stream"

BY_SUFFIX: Mapping[str, str] = MappingProxyType(
    {
        ".apng": "image/apng",
        ".avif": "image/avif",
        ".bmp": "image/bmp",
        ".flac": "audio/flac",
        ".gif": "image/gif",
        ".glb": "model/gltf-binary",
        ".gltf": "model/gltf+json",
        ".jpeg": "image/jpeg",
        ".jpg": "image/jpeg",
        ".json": "application/json",
        ".m4a": "audio/mp4",
        ".mkv": "video/x-matroska",
        ".mov": "video/quicktime",
        ".mp3": "audio/mpeg",
        ".mp4": "video/mp4",
        ".obj": "model/obj",
        ".ogg": "audio/ogg",
        ".opus": "audio/ogg",
        ".png": "image/png",
        ".stl": "model/stl",
        ".tif": "image/tiff",
        ".tiff": "image/tiff",
        ".txt": "text/plain; charset=utf-8",
        ".wav": "audio/wav",
        ".webm": "video/webm",
        ".webp": "image/webp",
    }
)

SHOWN = ("image/", "audio/", "video/", "text/plain")
"""How the types of BY_SUFFIX begin that a browser shows without running anything (it has no SVG and no HTML)."""


def content_type_of(name: str) -> str:
    """The content type of a file called `name`; UNKNOWN for a suffix that is not in the table."""
    return BY_SUFFIX.get(PurePosixPath(name).suffix.lower(), UNKNOWN)
