"""Pictures as `/view` shows them, and as a painted mask changes them."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any, Literal

from runtime.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image

Channel = Literal["rgba", "rgb", "a"]

_MOST_PIXELS = 100_000_000
_QUALITY = 90
_READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA")  # and nothing that Pillow starts a program for
_FORMATS = ("webp", "jpeg")
_few = threading.BoundedSemaphore(2)  # a picture at the bound takes a gigabyte and more while it is changed


def smaller(data: bytes, asked: str) -> tuple[bytes, str]:
    """The picture as `webp` or `jpeg`, by `asked`: `FORMAT` or `FORMAT;QUALITY`. Another format is taken for webp."""
    format, _, quality = asked.partition(";")
    format = format if format in _FORMATS else "webp"
    bounded = min(max(int(quality[:9]), 1), 100) if quality.isascii() and quality.isdigit() else _QUALITY
    with _few:
        image = _open(data)
        if format == "jpeg" or image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGB" if format == "jpeg" else "RGBA")
        return _saved(image, format, quality=bounded), f"image/{format}"


def channel_of(data: bytes, channel: Channel) -> tuple[bytes, str]:
    """The picture as PNG without its alpha (`rgb`), or nothing but it (`a`); `rgba` is the picture as it is."""
    from PIL import Image

    with _few:
        image = _open(data)
        if channel == "rgb":
            image = image.convert("RGB")
        elif channel == "a":
            alpha = image.convert("RGBA").getchannel("A")
            image = Image.new("RGBA", image.size)
            image.putalpha(alpha)
        return _saved(image, "png"), "image/png"


def with_alpha_of(picture: bytes, mask: bytes) -> bytes:
    """The picture as PNG with the alpha of the mask, its text chunks kept."""
    from PIL.PngImagePlugin import PngInfo

    with _few:
        original, painted = _open(picture), _open(mask)
        info = PngInfo()
        for name, text in getattr(original, "text", {}).items():
            info.add_text(name, text)
        alpha = painted.convert("RGBA").getchannel("A")
        if alpha.size != original.size:
            alpha = alpha.resize(original.size)
        combined = original.convert("RGBA")
        combined.putalpha(alpha)
        return _saved(combined, "png", pnginfo=info)


def _open(data: bytes) -> Image:
    """The picture, read whole. Raises InvalidRequest for what is none, or has too many pixels."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=_READ)
        if image.width * image.height > _MOST_PIXELS:
            raise InvalidRequest(
                f"the picture has {image.width}x{image.height} pixels; expected {_MOST_PIXELS} at most"
            )
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise InvalidRequest("the file is no picture that can be read") from exc
    return image


def _saved(image: Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()
