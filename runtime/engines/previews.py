"""Preview pictures of what a node is at, for jobs whose request asks for them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.progress import LONGEST_PREVIEW_SIDE, MOST_PREVIEW_BYTES, Preview

if TYPE_CHECKING:
    from PIL.Image import Image

EVERY_S = 1.0
_QUALITIES = (80, 50, 20)


class Previews:
    """One job's previews: none unless `wanted`, else at most one each EVERY_S seconds, the first at once."""

    def __init__(self, wanted: bool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = wanted
        self._clock = clock
        self._due = 0.0

    def is_due(self) -> bool:
        """Whether a picture would be taken now."""
        return self._wanted and self._clock() >= self._due

    def of(self, picture: Callable[[], Image]) -> Preview | None:
        """The preview of `picture`, which is called only where one is due."""
        if not self.is_due():
            return None
        self._due = self._clock() + EVERY_S
        return encode_preview(picture())


def encode_preview(image: Image) -> Preview:
    """The picture as a JPEG within the bounds of a preview."""
    image = image.convert("RGB")
    image.thumbnail((LONGEST_PREVIEW_SIDE, LONGEST_PREVIEW_SIDE))
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, format="jpeg", quality=quality)
        if buffer.tell() <= MOST_PREVIEW_BYTES:
            break
    return Preview(data=buffer.getvalue(), width=image.width, height=image.height)
