"""What the file of an upscale model holds: its architecture and sizes, by the names and shapes of its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.diffusion.shape_tree import Shapes, ShapeTree
from runtime.errors import ModelCorrupt

_PREFIXES = ("module.", "netG.")  # what trainers leave before every name

# To the names of Real-ESRGAN: from those of the first ESRGAN, then from those of BSRGAN and RealSR.
_RULES: tuple[tuple[str, str], ...] = (
    (r"^model\.0\.(weight|bias)$", r"conv_first.\1"),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv1x1\.", r"body.\1.rdb\2.conv1x1."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"^model\.1\.sub\.\d+\.(weight|bias)$", r"conv_body.\1"),
    (r"^RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.", r"body.\1.rdb\2.conv\3."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv(\d)\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
)
_NUMBERED = re.compile(r"^model\.(\d+)\.(weight|bias)$")

_SHUFFLES = (1, 2, 4)  # Real-ESRGAN's for a scale of 4, 2 and 1


@dataclass(frozen=True, kw_only=True)
class EsrganSpec:
    """The sizes of an ESRGAN. `shuffle` pixels a side become channels first; each up-convolution doubles a side."""

    channels_in: int
    channels: int
    growth: int
    blocks: int
    doublings: int
    shuffle: int
    has_skips: bool

    @property
    def scale(self) -> int:
        return (1 << self.doublings) // self.shuffle


@dataclass(frozen=True, kw_only=True)
class CompactSpec:
    """The sizes of a Real-ESRGAN "compact": `convolutions` between the first one and the last."""

    channels: int
    convolutions: int
    scale: int


Spec = EsrganSpec | CompactSpec


def read_layout(shapes: Shapes) -> tuple[Spec, Mapping[str, str]]:
    """The sizes of the model with tensors of these names and shapes, and parameter name -> the tensor's name.

    Raises ModelCorrupt, which says what it looks like, for another architecture and for one that is no RGB upscaler.
    """
    names = _plain_names(shapes)
    if "body.0.rdb1.conv1.weight" in names:
        tree = ShapeTree({name: shapes[stored] for name, stored in names.items()})
        return _esrgan(tree), names
    if {"body.0.weight", "body.1.weight"} <= names.keys():
        tree = ShapeTree({name: shapes[stored] for name, stored in names.items()})
        return _compact(tree), names
    some = ", ".join(list(shapes)[:3]) or "none"
    raise ModelCorrupt(
        f"no upscale model of a known architecture: expected ESRGAN, Real-ESRGAN or its compact form, "
        f"but the first of its {len(shapes)} tensors are {some}"
    )


def _plain_names(shapes: Iterable[str]) -> dict[str, str]:
    """Real-ESRGAN's name -> the name in the file; other architectures' names stay as they are."""
    stored = list(shapes)
    prefix = next((prefix for prefix in _PREFIXES if stored and all(name.startswith(prefix) for name in stored)), "")
    names = {_renamed(name.removeprefix(prefix)): name for name in stored}
    # The first ESRGAN numbers its layers; behind the blocks come the up-convolutions, then two more.
    numbers = sorted({int(match[1]) for name in names if (match := _NUMBERED.match(name))})
    roles = {number: f"conv_up{place + 1}" for place, number in enumerate(numbers[:-2])}
    roles |= dict(zip(numbers[-2:], ("conv_hr", "conv_last"), strict=False))
    return {_NUMBERED.sub(lambda found: f"{roles[int(found[1])]}.{found[2]}", name): own for name, own in names.items()}


def _renamed(name: str) -> str:
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


def _esrgan(tree: ShapeTree) -> EsrganSpec:
    channels_in, channels = tree.weight("conv_first.weight")
    channels_out = tree.weight("conv_last.weight")[1]
    shuffle = math.isqrt(channels_in // channels_out)
    _check_rgb(channels_in // shuffle**2 if shuffle in _SHUFFLES else channels_in, channels_out)
    doublings = 0
    while f"conv_up{doublings + 1}.weight" in tree:
        doublings += 1
    spec = EsrganSpec(
        channels_in=channels_in,
        channels=channels,
        growth=tree.weight("body.0.rdb1.conv1.weight")[1],
        blocks=tree.count("body"),
        doublings=doublings,
        shuffle=shuffle,
        has_skips="body.0.rdb1.conv1x1.weight" in tree,
    )
    if spec.scale < 1:
        raise ModelCorrupt(f"an ESRGAN that divides a picture's sides by {shuffle} and doubles them {doublings} times")
    return spec


def _compact(tree: ShapeTree) -> CompactSpec:
    layers = tree.count("body")
    channels_in, channels = tree.weight("body.0.weight")
    channels_out = tree.weight(f"body.{layers - 1}.weight")[1]
    scale = math.isqrt(channels_out // channels_in)
    _check_rgb(channels_in, channels_out // scale**2 if scale else 0)
    return CompactSpec(channels=channels, convolutions=(layers - 3) // 2, scale=scale)


def _check_rgb(channels_in: int, channels_out: int) -> None:
    if (channels_in, channels_out) != (3, 3):
        raise ModelCorrupt(
            f"an upscale model from {channels_in} to {channels_out} channels; expected red, green and blue both times"
        )
