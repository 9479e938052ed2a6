from __future__ import annotations

import io
import os

import pytest
from PIL import Image

from runtime.engines.previews import Previews, encode_preview
from runtime.progress import LONGEST_PREVIEW_SIDE, MOST_PREVIEW_BYTES, Progress


def red(width: int = 8, height: int = 8) -> Image.Image:
    return Image.new("RGB", (width, height), (255, 0, 0))


def test_a_preview_is_a_jpeg_of_the_picture() -> None:
    preview = encode_preview(red(16, 8))
    picture = Image.open(io.BytesIO(preview.data))
    assert (picture.format, picture.size, (preview.width, preview.height)) == ("JPEG", (16, 8), (16, 8))
    assert picture.getpixel((3, 3)) == pytest.approx((255, 0, 0), abs=3)


def test_a_large_picture_is_made_smaller_and_keeps_its_shape() -> None:
    preview = encode_preview(red(2048, 1024))
    assert (preview.width, preview.height) == (LONGEST_PREVIEW_SIDE, LONGEST_PREVIEW_SIDE // 2)


def test_a_picture_that_does_not_compress_is_within_the_bound() -> None:
    noise = Image.frombytes("RGB", (512, 512), os.urandom(512 * 512 * 3))
    assert len(encode_preview(noise).data) <= MOST_PREVIEW_BYTES


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_a_picture_of_another_mode_is_taken(mode: str) -> None:
    assert encode_preview(red().convert(mode)).width == 8


def test_nothing_is_made_where_nobody_asked() -> None:
    def never() -> Image.Image:
        raise AssertionError("a picture was made")

    assert Previews(False).of(never) is None


def test_a_second_lies_between_two_previews() -> None:
    now = [10.0]
    previews = Previews(True, clock=lambda: now[0])
    made = []
    for now[0] in (10.0, 10.4, 10.99, 11.0, 11.9, 12.5):
        made.append(previews.of(red) is not None)
    assert made == [True, False, False, True, False, True]


def test_what_is_recorded_of_progress_has_no_picture() -> None:
    progress = Progress(step=3, preview=encode_preview(red()))
    assert progress.without_preview() == Progress(step=3)
    assert "preview" not in progress.to_wire()
