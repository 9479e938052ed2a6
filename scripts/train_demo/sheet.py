"""Many pictures as one."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor

from scripts.train_demo import render

_GAP = 4
_PAPER = (255, 255, 255)


def save(path: Path, pictures: Tensor, *, columns: int) -> None:
    """Write `pictures` (B, 3, H, W) in -1..1 as a table with so many columns."""
    height, width = pictures.shape[-2] + _GAP, pictures.shape[-1] + _GAP
    rows = -(-len(pictures) // columns)
    table = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _PAPER)
    for index, pixels in enumerate(pictures):
        row, column = divmod(index, columns)
        table.paste(render.picture(pixels), (column * width + _GAP, row * height + _GAP))
    table.save(path)
