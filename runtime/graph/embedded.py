"""The workflow that ComfyUI writes into the files that it saves, found without decoding them.

PNG: text chunks `prompt` and `workflow` (PNG, third edition, 11.3.3), animated PNG: chunks of type `comf`; WebP: EXIF
fields that hold `prompt:...` and `workflow:...`; latents: the metadata of the safetensors header; GLB: `asset.extras`.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import InvalidRequest
from runtime.json_text import read_json

_PNG, _RIFF, _WEBP, _GLB = b"\x89PNG\r\n\x1a\n", b"RIFF", b"WEBP", b"glTF"
_LONGEST_TEXT = 64 << 20
_IN_ORDER = ("prompt", "workflow")

Texts = Iterator[tuple[str, Any]]


def is_media(data: bytes) -> bool:
    """Whether `data` begins like a file that can carry a workflow."""
    return _reader_of(data) is not None


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What a file carries: the workflow to run, and the editor's where that is another."""

    workflow: Mapping[str, Any]
    editors: Mapping[str, Any] | None = None


def workflow_in(data: bytes, what: str) -> Carried:
    """The workflow in the file `data`: what was sent to ComfyUI (`prompt`), else the editor's (`workflow`).

    Raises InvalidRequest, calling the file `what`, where it holds neither or is of no kind that could.
    """
    reader = _reader_of(data)
    if reader is None:
        raise InvalidRequest(f"{what} is no PNG, WebP, latent or GLB file, which could carry a workflow")
    try:
        texts = dict(_first_of_each(reader(data)))
    except (ValueError, struct.error, zlib.error, OSError, SyntaxError, RecursionError) as exc:
        raise InvalidRequest(f"{what} is damaged: {str(exc)[:200]}") from exc
    sent, editors = (
        each if isinstance(each, dict) and each else None for each in map(_parsed, map(texts.get, _IN_ORDER))
    )
    if sent is not None:
        return Carried(workflow=sent, editors=editors)
    if editors is not None:
        return Carried(workflow=editors)
    raise InvalidRequest(f"{what} carries no workflow; expected the fields that ComfyUI writes, prompt or workflow")


def _reader_of(data: bytes) -> Callable[[bytes], Texts] | None:
    if data[:8] == _PNG:
        return _png_texts
    if data[:4] == _RIFF and data[8:12] == _WEBP:
        return _webp_texts
    if data[:4] == _GLB:
        return _glb_texts
    is_latent = data[8:9] == b"{" and struct.unpack_from("<Q", data)[0] <= len(data) - 8  # of JSON, this number is huge
    return _latent_texts if is_latent else None


def _first_of_each(texts: Texts) -> Texts:
    seen: set[str] = set()
    for name, text in texts:
        if name in _IN_ORDER and name not in seen:
            seen.add(name)
            yield name, text


def _parsed(text: Any) -> Any:
    """The JSON of a field; a field that holds something else is none."""
    if not isinstance(text, str | bytes):
        return text
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return None


def _png_texts(data: bytes) -> Texts:
    """Of chunks that are packed the first of each name alone: thousands of them could each unpack to megabytes."""
    at = len(_PNG)
    unpacked: set[bytes] = set()
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        at += 12 + length
        name, _, rest = body.partition(b"\0")
        if kind in (b"zTXt", b"iTXt"):
            if name.decode("latin-1") not in _IN_ORDER or name in unpacked:
                continue
            unpacked.add(name)
        if kind in (b"tEXt", b"comf"):
            yield name.decode("latin-1"), rest.decode("latin-1")
        elif kind == b"zTXt":
            yield name.decode("latin-1"), _inflated(rest[1:]).decode("latin-1")
        elif kind == b"iTXt":
            yield name.decode("latin-1"), _international(rest)


def _international(rest: bytes) -> str:
    """The text of an iTXt chunk behind its keyword: two bytes on its packing, language, translation, text."""
    is_packed = rest[:1] == b"\1"
    _, _, text = rest[2:].partition(b"\0")[2].partition(b"\0")
    return (_inflated(text) if is_packed else text).decode()


def _inflated(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(packed, _LONGEST_TEXT)
    if unpacker.unconsumed_tail:
        raise ValueError(f"a text of it has more than {_LONGEST_TEXT} bytes")
    return text


def _webp_texts(data: bytes) -> Texts:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        fields = list(image.getexif().values())
    for field in fields:
        if isinstance(field, str):
            name, colon, text = field.partition(":")
            if colon:
                yield name.lower(), text


def _latent_texts(data: bytes) -> Texts:
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    yield from (header.get("__metadata__") or {}).items()


def _glb_texts(data: bytes) -> Texts:
    length, kind = struct.unpack_from("<I4s", data, 12)
    if kind != b"JSON":
        raise ValueError("its first chunk is not JSON")
    asset = json.loads(data[20 : 20 + length]).get("asset") or {}
    yield from (asset.get("extras") or {}).items()
