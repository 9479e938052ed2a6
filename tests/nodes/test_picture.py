from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from runtime.errors import InputRejected
from runtime.nodes.picture import PictureFile, channel, colours, transparency

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def _file(path: Path, data: bytes, *, max_pixels: int = 10_000) -> PictureFile:
    path.write_bytes(data)
    return PictureFile(name="cat.png", path=path, max_pixels=max_pixels)


def _encoded(format: str) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(LEVELS)
    picture.save(
        stream, format, **({"save_all": True, "append_images": [picture.rotate(180)]} if format == "GIF" else {})
    )
    return stream.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that announces `width` by `height` and holds nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IEND"
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, end)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"], ids=repr
)
def test_a_file_that_is_no_picture_is_refused_by_its_name(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match=r"^input 'cat\.png' is no picture"):
        _file(tmp_path / "secret", data).frames()


def test_the_message_does_not_say_where_the_file_lies(tmp_path: Path) -> None:
    with pytest.raises(InputRejected) as caught:
        _file(tmp_path / "secret", b"not a picture").frames()
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("side", [101, 30_000, 2**31 - 1])
def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(side: int, tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match=r"'cat\.png' is too large: .*\b10000\b"):
        _file(tmp_path / "a", _png_header(side, side)).frames()


def test_a_picture_at_the_limit_is_read_without_a_warning(tmp_path: Path) -> None:
    assert _file(tmp_path / "a", _encoded("PNG"), max_pixels=600).frames()[0].size == (30, 20)


def test_the_limit_counts_all_frames(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="30 x 20 it comes to 1200 pixels, and the limit is 1000"):
        _file(tmp_path / "a", _encoded("GIF"), max_pixels=1000).frames()


def test_fewer_frames_can_be_asked_for(tmp_path: Path) -> None:
    assert len(_file(tmp_path / "a", _encoded("GIF"), max_pixels=1000).frames(most=1)) == 1


def test_a_truncated_picture_is_read_as_far_as_it_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = _encoded("BMP")
    (frame,) = _file(tmp_path / "a", data[: len(data) // 2]).frames()
    assert np.array_equal(np.asarray(frame)[-5:], LEVELS[-5:])  # a BMP begins with its last row
    assert np.asarray(frame)[:5].max() == 0
    assert "'cat.png' is damaged" in caplog.text


def test_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(InputRejected):
        _file(tmp_path / "a", b"not a picture").frames()
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TGA"])
def test_a_damaged_file_is_read_or_refused(format: str, tmp_path: Path) -> None:
    chance, data = random.Random(format), _encoded(format)
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 5, 20))):
            damaged[chance.randrange(min(len(data), 300))] = chance.randrange(256)
        try:
            frames = _file(tmp_path / "a", bytes(damaged)).frames()
        except InputRejected:
            continue
        assert all(colours(frame).ndim == 3 and channel(frame, "R").ndim == 2 for frame in frames)


def test_a_grey_picture_with_alpha_has_both() -> None:
    frame = Image.merge("LA", [Image.new("L", (2, 1), 51), Image.new("L", (2, 1), 204)])
    assert colours(frame).tolist() == [[pytest.approx([0.2, 0.2, 0.2])] * 2]
    mask = transparency(frame)
    assert mask is not None
    assert mask.tolist() == [pytest.approx([0.2, 0.2])]


def test_levels_of_16_bits_opened_as_integers_are_brought_to_8() -> None:
    frame = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.int32))
    assert colours(frame)[0, :, 0].tolist() == pytest.approx([0.0, 128 / 255, 1.0])


def test_a_file_of_endless_frames_is_refused(tmp_path: Path) -> None:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    header = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    with pytest.raises(InputRejected, match=r"'cat\.png' has more than 2048 frames"):
        _file(tmp_path / "a", header + frame * 3_000 + b";").frames()
