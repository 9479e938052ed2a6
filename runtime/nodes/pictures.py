"""How large a value is: its pictures and their size, held or about to be made, and the tokens of a conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

LATENT_SCALE = 8  # pixels a side for each step of a latent
_CHANNELS = (1, 3, 4)


class Pictures(NamedTuple):
    """`batch` pictures of `height` by `width` pixels; a latent counts as the pictures that it stands for."""

    batch: int
    height: int
    width: int


def pictures_in(value: Any) -> Pictures | None:
    """Those of an IMAGE (B, H, W, C), a MASK (B, H, W) or a LATENT with samples (B, C, ..., h, w); None of another."""
    if type(value) is dict:
        shape: Sequence[int] = getattr(value.get("samples"), "shape", ())
        if len(shape) < 4:
            return None
        return Pictures(shape[0], shape[-2] * LATENT_SCALE, shape[-1] * LATENT_SCALE)
    shape = getattr(value, "shape", ())
    if len(shape) == 3 or (len(shape) == 4 and shape[3] in _CHANNELS):
        return Pictures(*shape[:3])
    return None


def tokens_in(value: Any) -> int:
    """How many tokens the entries of a CONDITIONING, [(1, T, D), options] each, have together; 0 of another value."""
    if type(value) is not list:
        return 0
    shapes: list[Sequence[int]] = [getattr(entry[0], "shape", ()) for entry in value if type(entry) is list and entry]
    return sum(shape[1] for shape in shapes if len(shape) == 3)
