"""Workflows in the files that ComfyUI saves."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime.errors import InvalidRequest
from runtime.graph.embedded import Carried, is_media, workflow_in

SENT = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8}}}
EDITORS = {"nodes": [], "links": [], "version": 0.4}


def picture() -> Image.Image:
    return Image.new("RGB", (4, 4))


def saved(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def png(**texts: str) -> bytes:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return saved(picture(), format="PNG", pnginfo=info)


def packed_png(kind: str) -> bytes:
    info = PngInfo()
    if kind == "zTXt":
        info.add_text("prompt", json.dumps(SENT), zip=True)
    else:
        info.add_itxt("prompt", json.dumps({**SENT, "2": "Ünïcode"}, ensure_ascii=False), zip=True)
    return saved(picture(), format="PNG", pnginfo=info)


def animated_png() -> bytes:
    info = PngInfo()
    info.add(b"comf", b"prompt\0" + json.dumps(SENT).encode("latin-1"), after_idat=True)
    return saved(picture(), format="PNG", pnginfo=info, save_all=True, append_images=[picture()])


def webp() -> bytes:
    exif = picture().getexif()
    exif[0x0110] = f"prompt:{json.dumps(SENT)}"
    exif[0x010F] = f"workflow:{json.dumps(EDITORS)}"
    return saved(picture(), format="WEBP", exif=exif)


def latent() -> bytes:
    header = json.dumps({"__metadata__": {"prompt": json.dumps(SENT)}}).encode()
    return struct.pack("<Q", len(header)) + header


def glb() -> bytes:
    chunk = json.dumps({"asset": {"version": "2.0", "extras": {"prompt": json.dumps(SENT)}}}).encode()
    return b"glTF" + struct.pack("<II", 2, 20 + len(chunk)) + struct.pack("<I4s", len(chunk), b"JSON") + chunk


@pytest.mark.parametrize(
    "data",
    [png(prompt=json.dumps(SENT)), packed_png("zTXt"), animated_png(), webp(), latent(), glb()],
    ids=["png", "packed png", "animated png", "webp", "latent", "glb"],
)
def test_what_was_sent_is_found(data: bytes) -> None:
    assert workflow_in(data, "it").workflow == SENT


def test_an_international_text_is_read_in_full() -> None:
    assert workflow_in(packed_png("iTXt"), "it").workflow["2"] == "Ünïcode"


def test_what_was_sent_goes_before_the_editors_workflow() -> None:
    both = png(workflow=json.dumps(EDITORS), prompt=json.dumps(SENT))
    assert workflow_in(both, "it") == Carried(workflow=SENT, editors=EDITORS)


@pytest.mark.parametrize("prompt", ["", "not JSON", "[]", "{}"])
def test_the_editors_workflow_is_taken_where_nothing_else_is_usable(prompt: str) -> None:
    assert workflow_in(png(prompt=prompt, workflow=json.dumps(EDITORS)), "it") == Carried(workflow=EDITORS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(), "a.png carries no workflow"),
        (saved(picture(), format="WEBP"), "a.png carries no workflow"),
        (b"\xff\xd8\xff\xe0 JPEG", "a.png is no PNG, WebP, latent or GLB"),
        (b"RIFF\0\0\0\0WEBPnothing", "a.png is damaged"),
        (b"glTF" + b"\0" * 8, "a.png is damaged"),
        (struct.pack("<Q", 5) + b"{brok" + b"\0" * 8, "a.png is damaged"),
        (struct.pack("<Q", 99) + b"{short", "a.png is no PNG"),
    ],
    ids=["png", "webp", "jpeg", "damaged webp", "damaged glb", "damaged latent", "cut latent"],
)
def test_a_file_without_a_workflow_is_refused_by_its_name(data: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        workflow_in(data, "a.png")


@pytest.mark.parametrize("text", ['{"100": {"class_type": "A"}}', "{}", ""])
def test_json_is_no_file_that_carries_a_workflow(text: str) -> None:
    assert not is_media(text.encode())


def test_a_packed_text_is_not_unpacked_without_a_bound() -> None:
    bomb = b"prompt\0\0" + zlib.compress(b"a" * (65 << 20))
    data = png()[:8] + struct.pack(">I4s", len(bomb), b"zTXt") + bomb + b"\0" * 4
    with pytest.raises(InvalidRequest, match="more than"):
        workflow_in(data, "it")


def test_packed_texts_that_nobody_asks_for_are_not_unpacked() -> None:
    """Each of them would be refused, were it unpacked."""
    packed = zlib.compress(b"a" * (65 << 20))
    bombs = [b"other\0\0" + packed, b"prompt\0\0" + zlib.compress(json.dumps(SENT).encode()), b"prompt\0\0" + packed]
    chunks = [struct.pack(">I4s", len(bomb), b"zTXt") + bomb + b"\0" * 4 for bomb in bombs]
    assert workflow_in(png()[:8] + b"".join(chunks), "it").workflow == SENT


@given(data=st.binary(max_size=200), head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"glTF"]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    is_media(head + data)
    with pytest.raises(InvalidRequest):
        workflow_in(head + data, "it")
