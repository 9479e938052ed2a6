from __future__ import annotations

import io
import json
from typing import Any

import numpy
import pytest
from PIL import Image

from runtime.artifacts.encode import encode_picture, suffix_of
from runtime.engines.protocol import Picture
from runtime.errors import InvalidRequest

TEXT = {"prompt": json.dumps({"3": {"class_type": "KSampler"}}), "workflow": json.dumps({"nodes": []})}


def picture(*shape: int, temporary: bool = False, png_text: dict[str, str] | None = None) -> Picture:
    pixels = numpy.random.default_rng(0).integers(0, 256, shape or (6, 8, 3), dtype=numpy.uint8)
    return Picture(
        node_id="9", index=0, filename_prefix="x", pixels=pixels, png_text=png_text or TEXT, temporary=temporary
    )


def opened(data: bytes) -> Any:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("format", "suffix", "content_type", "reads_as"),
    [
        ("png", ".png", "image/png", "PNG"),
        ("original", ".png", "image/png", "PNG"),
        ("jpeg", ".jpg", "image/jpeg", "JPEG"),
        ("webp", ".webp", "image/webp", "WEBP"),
    ],
)
def test_each_format_is_what_it_says(format: Any, suffix: str, content_type: str, reads_as: str) -> None:
    encoded = encode_picture(picture(), format, 90)
    assert (encoded.content_type, suffix_of(format)) == (content_type, suffix)
    assert (encoded.width, encoded.height) == opened(encoded.data).size == (8, 6)
    assert opened(encoded.data).format == reads_as


@pytest.mark.parametrize("shape", [(6, 8, 3), (6, 8, 4), (6, 8, 1), (1, 1, 3)], ids=str)
def test_a_png_has_exactly_the_pixels(shape: tuple[int, ...]) -> None:
    given = picture(*shape)
    read = numpy.asarray(opened(encode_picture(given, "png", 90).data)).reshape(shape)
    assert (read == given.pixels).all()


def test_a_png_carries_the_workflow_as_comfyui_writes_it() -> None:
    assert opened(encode_picture(picture(), "png", 90).data).text == TEXT


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_lossy_picture_carries_the_workflow_in_comfyuis_exif_tags(format: Any) -> None:
    exif = opened(encode_picture(picture(), format, 90).data).getexif()
    assert exif[0x0110] == f"prompt:{TEXT['prompt']}"
    assert exif[0x010F] == f"workflow:{TEXT['workflow']}"


def test_a_workflow_too_long_for_a_jpeg_is_left_out_of_it() -> None:
    image = opened(encode_picture(picture(png_text={"prompt": "x" * 100_000}), "jpeg", 90).data)
    assert not image.getexif()


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_less_quality_is_fewer_bytes(format: Any) -> None:
    sizes = [len(encode_picture(picture(64, 64, 3), format, quality).data) for quality in (10, 95)]
    assert sizes[0] < sizes[1]


def test_a_jpeg_of_a_picture_with_alpha_keeps_the_colours() -> None:
    given = picture(8, 8, 4)
    given.pixels[:] = (200, 100, 50, 0)
    red, green, blue = opened(encode_picture(given, "jpeg", 100).data).getpixel((4, 4))
    assert (abs(red - 200), abs(green - 100), abs(blue - 50)) <= (3, 3, 3)


def test_a_preview_is_compressed_in_less_time_than_a_result() -> None:
    flat = numpy.tile(numpy.arange(256, dtype=numpy.uint8), (64, 1))[:, :, None].repeat(3, axis=2)

    def encode(temporary: bool) -> int:
        kept = Picture(node_id="9", index=0, filename_prefix="x", pixels=flat, temporary=temporary)
        return len(encode_picture(kept, "png", 90).data)

    assert encode(False) < encode(True)


@pytest.mark.parametrize(("format", "side"), [("webp", 16_384), ("jpeg", 65_536)])
def test_a_picture_too_long_for_the_format_is_refused_by_node(format: Any, side: int) -> None:
    with pytest.raises(InvalidRequest, match=f"node 9 made a picture of 1x{side}") as caught:
        encode_picture(picture(side, 1, 3), format, 90)
    assert caught.value.node_id == "9"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_what_a_lossy_format_has_no_tag_for_is_left_out(format: Any) -> None:
    many = {**TEXT, **{f"more{n}": "x" for n in range(62)}}
    read = opened(encode_picture(picture(png_text=many), format, 90).data)
    assert read.text == many if format == "png" else set(read.getexif()) == {0x0110, 0x010F, 0x010E, 0x010D}
