"""A finished picture's 8-bit pixels as the bytes of a file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from runtime.engines.protocol import Picture
from runtime.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image

Format = Literal["png", "jpeg", "webp", "original"]

_SUFFIX = {"png": ".png", "original": ".png", "jpeg": ".jpg", "webp": ".webp"}
_CONTENT_TYPE = {"png": "image/png", "original": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_PNG_LEVEL = 4  # zlib's level in ComfyUI's SaveImage
_PREVIEW_LEVEL = 1
_EXIF_MODEL = 0x0110  # the tags in which ComfyUI's WebP carries the graph and, from the next down, the rest
_MOST_EXIF = 4  # the tags down to 0x010D hold text; below them begin the numbers that say what the pixels are
_LONGEST_SIDE = {"jpeg": 65_535, "webp": 16_383}
_LONGEST_EXIF = 60_000  # a JPEG segment holds 64 kB


@dataclass(frozen=True, kw_only=True)
class EncodedPicture:
    """A picture as a file: its bytes, type and size."""

    data: bytes = field(repr=False)
    content_type: str
    width: int
    height: int


def suffix_of(format: Format) -> str:
    """The file name's ending for pictures of that format, with its dot."""
    return _SUFFIX[format]


def encode_picture(picture: Picture, format: Format, quality: int) -> EncodedPicture:
    """Encode to PNG, JPEG or WebP; the graph goes along as text chunks or EXIF. `original` is ComfyUI's own: PNG.

    Raises InvalidRequest for a picture that the format has no room for.
    """
    image = _as_image(picture)
    if max(image.size) > _LONGEST_SIDE.get(format, 2**31):
        width, height = image.size
        raise InvalidRequest(
            f"output.format is {format!r}, whose sides have at most {_LONGEST_SIDE[format]} pixels; node "
            f"{picture.node_id} made a picture of {width}x{height}",
            node_id=picture.node_id,
        )
    options = _png_options(picture) if format in ("png", "original") else _lossy_options(picture, quality)
    if format == "jpeg":
        image = _flattened(image)
    buffer = io.BytesIO()
    image.save(buffer, format="png" if format == "original" else format, **options)
    return EncodedPicture(
        data=buffer.getvalue(), content_type=_CONTENT_TYPE[format], width=image.width, height=image.height
    )


def picture_size(data: bytes) -> tuple[int, int] | tuple[None, None]:
    """The (width, height) that a picture's file tells of itself; None twice where it is of no known format."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None, None


def _as_image(picture: Picture) -> Image:
    from PIL import Image

    pixels = picture.pixels
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _flattened(image: Image) -> Image:
    """JPEG has no alpha: keep the colours as they stand, and drop it."""
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _png_options(picture: Picture) -> dict[str, Any]:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in picture.png_text.items():
        info.add_text(name, text)
    return {"pnginfo": info, "compress_level": _PREVIEW_LEVEL if picture.temporary else _PNG_LEVEL}


def _lossy_options(picture: Picture, quality: int) -> dict[str, Any]:
    from PIL.Image import Exif

    exif = Exif()
    for place, (name, text) in enumerate(islice(picture.png_text.items(), _MOST_EXIF)):
        exif[_EXIF_MODEL - place] = f"{name}:{text}"
    data = exif.tobytes()
    return {"quality": quality, "exif": data if len(data) <= _LONGEST_EXIF else b""}
