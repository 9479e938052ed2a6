"""ComfyUI's SaveImage and PreviewImage without the disk: their pictures go straight to the worker's artifact sink."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Hand = Callable[[Any, str, bool], dict[str, str]]


def replace_saving(nodes: Any, hand: Callable[[], Hand | None]) -> None:
    """Have the two classes give each picture (H, W, C) of 8 bits, its prefix and whether it is temporary to `hand()`.

    A class derived from one of them writes its files as before, since it may read them again; so does everything while
    `hand()` answers None.
    """
    original = nodes.SaveImage.save_images
    without_disk = (nodes.SaveImage, nodes.PreviewImage)

    @functools.wraps(original)
    def save_images(self: Any, images: Any, filename_prefix: str = "ComfyUI", *args: Any, **kwargs: Any) -> Any:
        taken_by = hand()
        if taken_by is None or type(self) not in without_disk:
            return original(self, images, filename_prefix, *args, **kwargs)
        temporary = self.type == "temp"
        entries = [taken_by(_pixels(image), filename_prefix, temporary) for image in images]
        return {"ui": {"images": entries}}

    nodes.SaveImage.save_images = save_images


def _pixels(image: Any) -> Any:
    """0..1 as 8 bits, rounded down as ComfyUI rounds."""
    return (image * 255.0).clamp(0, 255).byte().cpu().numpy()
