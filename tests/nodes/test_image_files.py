from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runtime.errors import InputRejected

Call = Callable[..., Any]
LEVELS = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)
COLOURS = torch.from_numpy(LEVELS[..., :3].copy()).float() / 255
ALPHA = torch.from_numpy(LEVELS[..., 3].copy()).float() / 255


def test_a_picture_with_alpha_gives_its_colours_and_what_is_transparent(tmp_path: Path, call: Call) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "a.png")
    image, mask = call("LoadImage", image="a.png")
    assert torch.equal(image, COLOURS[None])
    assert torch.equal(mask, 1 - ALPHA[None])


def test_a_picture_without_alpha_gives_an_empty_mask(tmp_path: Path, call: Call) -> None:
    Image.fromarray(LEVELS[..., :3]).save(tmp_path / "a.png")
    assert torch.equal(call("LoadImage", image="a.png")[1], torch.zeros(1, 64, 64))


def test_a_palette_with_transparency_gives_a_mask(tmp_path: Path, call: Call) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png", transparency=b"\x00\xff")
    image, mask = call("LoadImage", image="a.png")
    assert image[0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert mask[0].tolist() == [[1, 0], [0, 1]]


def test_a_picture_is_turned_upright(tmp_path: Path, call: Call) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: a quarter turn clockwise sets it right
    Image.fromarray(LEVELS[..., :3]).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(call("LoadImage", image="a.png")[0], torch.rot90(COLOURS, -1, (0, 1))[None])


def test_the_frames_of_an_animation_become_a_batch(tmp_path: Path, call: Call) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    image, mask = call("LoadImage", image="a.webp")
    assert image[:, 0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert mask.shape == (3, 64, 64)


def test_frames_with_and_without_transparency_share_one_mask_size(tmp_path: Path, call: Call) -> None:
    clear = Image.new("P", (8, 6), 0)
    clear.putpalette([0, 0, 0, 255, 0, 0])
    clear.paste(1, (0, 0, 4, 3))
    other = Image.new("RGB", (8, 6), "blue")
    clear.save(tmp_path / "a.gif", save_all=True, append_images=[other], transparency=0)
    image, mask = call("LoadImage", image="a.gif")
    assert image.shape == (2, 6, 8, 3)
    assert mask.shape == (2, 6, 8)
    assert mask[0, 5, 7] == 1


def test_pages_of_another_size_than_the_first_are_left_out(tmp_path: Path, call: Call) -> None:
    pages = [Image.new("RGB", size) for size in ((8, 6), (4, 4), (8, 6))]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    assert call("LoadImage", image="a.tiff")[0].shape == (2, 6, 8, 3)


def test_a_camera_file_of_two_pictures_gives_the_first(tmp_path: Path, call: Call) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.mpo", save_all=True, append_images=[Image.new("RGB", (8, 6), "red")])
    image, _ = call("LoadImage", image="a.mpo")
    assert image.shape == (1, 6, 8, 3)
    assert image.max() == 0


@pytest.mark.parametrize(("channel", "index"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_colour_channel_is_a_mask(channel: str, index: int, tmp_path: Path, call: Call) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "a.png")
    assert torch.equal(call("LoadImageMask", image="a.png", channel=channel)[0], COLOURS[None, ..., index])


def test_the_alpha_channel_as_a_mask_is_what_is_transparent(tmp_path: Path, call: Call) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "a.png")
    assert torch.equal(call("LoadImageMask", image="a.png", channel="alpha")[0], 1 - ALPHA[None])


def test_an_opaque_picture_masks_nothing(tmp_path: Path, call: Call) -> None:
    Image.fromarray(LEVELS[..., :3]).save(tmp_path / "a.png")
    assert torch.equal(call("LoadImageMask", image="a.png", channel="alpha")[0], torch.zeros(1, 6, 8))


def test_saved_pictures_are_handed_over(call: Call, worker: Any) -> None:
    images = COLOURS[None]
    answer = call("SaveImage", images=images, filename_prefix="cats")
    assert answer == {"ui": {"images": [{"filename": "cats_0.png", "subfolder": "", "type": "output"}]}}
    assert worker.pictures == [("cats", False, images)]


def test_a_preview_is_temporary(call: Call, worker: Any) -> None:
    answer = call("PreviewImage", images=COLOURS[None])
    assert answer["ui"]["images"][0]["type"] == "temp"
    assert worker.pictures[0][1] is True


def test_a_missing_picture_is_refused_by_name(call: Call) -> None:
    with pytest.raises(InputRejected, match=r"nowhere\.png"):
        call("LoadImage", image="nowhere.png")
