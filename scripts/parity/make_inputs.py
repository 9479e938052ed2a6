"""Write the pictures and latents that the parity cases load, into `tests/parity/input`.

    python -m scripts.parity.make_inputs

The files are committed: the cases do not depend on which encoder wrote them. `gradient.png` and `gradient_alpha.png`
stand there already and are left alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import save_file

from scripts.parity.case_file import PARITY

INPUT = PARITY / "input"
ORIENTATION = 0x0112
ROTATED = 6

Bytes = npt.NDArray[np.uint8]


def main() -> None:
    """Write every file."""
    _modes(INPUT)
    _rotated(INPUT)
    _several_frames(INPUT)
    _latents(INPUT)


def waves(width: int, height: int, phase: float = 0.0) -> Bytes:
    """A picture (H, W, 3) whose channels are waves of differing direction and length."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (np.sin(x / 5 + phase), np.cos(y / 3 - phase), np.sin((x + 2 * y) / 7 + 2 * phase))
    return ((np.stack(channels, axis=-1) + 1) * 127.5).astype(np.uint8)


def _modes(directory: Path) -> None:
    picture = Image.fromarray(waves(51, 37))
    picture.save(directory / "odd.png")
    picture.convert("L").save(directory / "gray.png")
    picture.convert("1").save(directory / "bilevel.png")
    faded = picture.convert("LA")
    faded.putalpha(Image.fromarray(waves(51, 37, 1.0)[..., 0]))
    faded.save(directory / "gray_alpha.png")
    paletted = picture.quantize(16)
    paletted.save(directory / "palette_opaque.png")
    paletted.save(directory / "palette.png", transparency=bytes(range(0, 256, 17)))
    levels = waves(24, 18)[..., 0].astype(np.uint16) * 257
    Image.fromarray(levels).save(directory / "gray16.png")
    Image.fromarray(levels.astype(np.int32)).save(directory / "int32.tiff")


def _rotated(directory: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED
    picture = Image.fromarray(waves(30, 20))
    picture.save(directory / "rotated.jpg", exif=exif, quality=95)
    picture.putalpha(Image.fromarray(waves(30, 20, 0.5)[..., 1]))
    picture.save(directory / "rotated.png", exif=exif)


def _several_frames(directory: Path) -> None:
    frames = [Image.fromarray(waves(32, 24, phase)) for phase in (0.0, 1.0, 2.0)]
    gif = [frame.quantize(32) for frame in frames]
    gif[0].save(directory / "animated.gif", save_all=True, append_images=gif[1:], duration=100, loop=0)
    pages = [frames[0], Image.fromarray(waves(16, 16)), frames[2]]
    pages[0].save(directory / "pages.tiff", save_all=True, append_images=pages[1:])


def _latents(directory: Path) -> None:
    noise = np.random.Generator(np.random.Philox(1)).standard_normal((2, 4, 6, 8), dtype=np.float32)
    version = {"latent_format_version_0": np.zeros(0, dtype=np.float32)}
    save_file({"latent_tensor": noise, **version}, directory / "saved.latent")
    save_file({"latent_tensor": noise * np.float32(0.18215)}, directory / "saved_before_versions.latent")


if __name__ == "__main__":
    main()
