"""Pictures of a job's input files, decoded as ComfyUI does and never beyond a limit of pixels."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from runtime.errors import InputRejected

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "TGA", "AVIF")  # older Pillow lacks the last

MAX_FRAMES = 2048  # of one file: each costs half a millisecond, however small it is

_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, RuntimeError, struct.error, zlib.error)
_pillow = threading.Lock()  # Pillow's settings are attributes of its modules, so that one reader at a time has them
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PictureFile:
    """An input file that shall hold a picture: the `name` that the graph gives it, and where it lies."""

    name: str
    path: Path
    max_pixels: int

    def frames(self, most: int | None = None) -> list[Image]:
        """The file's frames, at most `most` of them, upright by their EXIF orientation; of an MPO file the first one.

        Of a damaged file what can be decoded is decoded, and the rest is black. Raises InputRejected for a file that
        is no picture, and, before they are decoded, for frames that together have more than `max_pixels` pixels or are
        more than MAX_FRAMES.
        """
        try:
            return self._frames(most, tolerant=False)
        except _DAMAGE as exc:
            damage = exc
        try:
            frames = self._frames(most, tolerant=True)
        except _DAMAGE as exc:
            raise InputRejected(f"input {self.name!r} is no picture: {_reason(exc)}") from exc
        _log.warning("input %r is damaged, what could not be decoded is black: %s", self.name, _reason(damage))
        return frames

    def _frames(self, most: int | None, *, tolerant: bool) -> list[Image]:
        from PIL import Image

        with _pillow_settings(tolerant=tolerant, max_pixels=self.max_pixels):
            try:
                with Image.open(self.path, formats=FORMATS) as picture:
                    return list(islice(self._decoded(picture), 1 if picture.format == "MPO" else most))
            except Image.DecompressionBombError as exc:
                raise InputRejected(f"input {self.name!r} is too large: {exc}") from exc

    def _decoded(self, picture: Image) -> Iterator[Image]:
        from PIL import ImageOps, ImageSequence

        pixels = 0
        for number, frame in enumerate(ImageSequence.Iterator(picture)):
            if number == MAX_FRAMES:
                raise InputRejected(f"input {self.name!r} has more than {MAX_FRAMES} frames, the most that are read")
            pixels += frame.width * frame.height
            if pixels > self.max_pixels:
                raise InputRejected(
                    f"input {self.name!r} is too large: with a frame of {frame.width} x {frame.height} it comes to "
                    f"{pixels} pixels, and the limit is {self.max_pixels}"
                )
            yield ImageOps.exif_transpose(frame)


def colours(frame: Image) -> Tensor:
    """`frame` as (H, W, 3) in 0..1; transparency is dropped."""
    opaque = _levelled(frame)
    if "transparency" in opaque.info:  # of a palette; Pillow would warn that RGB does not hold it
        opaque = opaque.copy()
        del opaque.info["transparency"]
    return _levels(opaque.convert("RGB"))


def transparency(frame: Image) -> Tensor | None:
    """How transparent each pixel is, (H, W) in 0..1: 1 less its alpha. None where `frame` has no alpha."""
    if "A" in frame.getbands():
        return 1.0 - _levels(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return 1.0 - _levels(frame.convert("RGBA").getchannel("A"))
    return None


def channel(frame: Image, name: str) -> Tensor:
    """The channel "R", "G", "B" or "A" of `frame` as (H, W) in 0..1; opaque where it has no alpha."""
    return _levels(_levelled(frame).convert("RGBA").getchannel(name))


def _levelled(frame: Image) -> Image:
    """`frame`, with its levels brought from 0..65535 to 0..255 where Pillow has opened it as "I".

    Newer releases open 16-bit grey as "I;16", which ComfyUI clips at 255 (nodes.py, LoadImage), and so does this.
    """
    return frame.point(lambda level: level * (1 / 255)) if frame.mode == "I" else frame


def _levels(frame: Image) -> Tensor:
    return torch.from_numpy(np.array(frame)).float() / 255.0


def _reason(exc: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(exc, UnidentifiedImageError | LookupError):  # whose words are the file's path, or a format's name
        return f"expected one of {', '.join(FORMATS)}"
    return str(exc)


@contextmanager
def _pillow_settings(*, tolerant: bool, max_pixels: int) -> Iterator[None]:
    """Pillow refusing more than `max_pixels` without a warning before, and, if `tolerant`, decoding damaged files."""
    from PIL import Image, ImageFile

    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS = max_pixels // 2  # Pillow warns above this and refuses above twice as many
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before
