"""Write small model files with the tensor layout of real ones.

Each has the key names and topology of its family (SD 1.x, SD 1.x inpainting, SD 2.x, SDXL base, SDXL refiner, a bare
VAE, LoRAs, ControlNets, upscale models) at a fraction of the width. Weights are drawn from a generator seeded by the
tensor's name, so a file is the same on every machine. `shapes.json` maps file -> tensor name -> shape; `VARIANTS` adds
the files that differ from one of those in a tensor or two.

    python make_checkpoints.py OUTPUT_DIRECTORY               the checkpoints, directly in it
    python make_checkpoints.py --tree MODELS_DIRECTORY        every file in the sub-folder of its kind
"""

import argparse
import functools
import hashlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

HERE = Path(__file__).parent
FOLDERS = {
    "vae_mini": "vae",
    "sd1_lora_mini": "loras",
    "sd1_lora_diffusers_mini": "loras",
    "sdxl_lora_mini": "loras",
    "sd1_lycoris_mini": "loras",
    "control_sd1_mini": "controlnet",
    "control_sdxl_mini": "controlnet",
    "control_sd1_mini_shuffle": "controlnet",
    "esrgan_old_mini": "upscale_models",
    "esrgan_plus_1x_mini": "upscale_models",
    "realesrgan_x2_mini": "upscale_models",
    "bsrgan_x2_mini": "upscale_models",
    "compact_x4_mini": "upscale_models",
}
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A checkpoint that is `base` with other or further `shapes` and some tensors `scaled` (name -> factor)."""

    base: str
    shapes: Mapping[str, list[int]] = field(default_factory=dict)
    scaled: Mapping[str, float] = field(default_factory=dict)


# SD 2.x v-prediction is told from eps by this bias having a standard deviation above 0.09: drawn it has 0.05.
SD2_SPREAD = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"
VARIANTS = {
    "sd2_inpaint_mini": Variant(base="sd2_mini", shapes={FIRST_CONV: [64, 9, 3, 3]}),
    "sd2_v_mini": Variant(base="sd2_mini", scaled={SD2_SPREAD: 4.0}),
    "sdxl_v_mini": Variant(base="sdxl_mini", shapes={"v_pred": [0]}),
    "sdxl_ztsnr_mini": Variant(base="sdxl_mini", shapes={"v_pred": [0], "ztsnr": [0]}),
    "control_sd1_mini_shuffle": Variant(base="control_sd1_mini"),
    "sdxl_inpaint_mini": Variant(base="sdxl_mini", shapes={FIRST_CONV: [32, 9, 3, 3]}),
}

Array = npt.NDArray[Any]


def draw(name: str, shape: list[int]) -> Array:
    """The tensor for `name`: float16, scaled so that activations keep their size."""
    return _drawn(name, tuple(shape))


@functools.cache
def _drawn(name: str, shape: tuple[int, ...]) -> Array:
    if name.endswith("position_ids"):
        return np.arange(shape[-1], dtype=np.int64)[None]
    if name == "alphas_cumprod":
        betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2
        return np.cumprod(1 - betas).astype(np.float32)
    if name.endswith("logit_scale"):
        return np.array(4.6052, dtype=np.float16)
    if name.endswith(".alpha"):
        return np.array(2.0, dtype=np.float16)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    noise = np.random.Generator(np.random.Philox(seed)).standard_normal(shape, dtype=np.float32)
    return _scaled(name, noise).astype(np.float16)


def _scaled(name: str, noise: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if (noise.ndim == 1 and name.endswith(".weight")) or name.endswith(".dora_scale"):
        return 1 + np.float32(0.1) * noise
    if noise.ndim == 1:
        return np.float32(0.05) * noise
    if "embedding" in name and "proj" not in name:
        return np.float32(0.5) * noise
    return np.float32(0.9 / math.sqrt(math.prod(noise.shape[1:]))) * noise


def file_names() -> list[str]:
    """The names of all files, without their ending."""
    return [*_shapes(), *VARIANTS]


def tensors_of(name: str) -> dict[str, Array]:
    """The tensors of the file `name`."""
    variant = VARIANTS.get(name, Variant(base=name))
    tensors = {key: draw(key, shape) for key, shape in {**_shapes()[variant.base], **variant.shapes}.items()}
    for key, factor in variant.scaled.items():
        tensors[key] = (tensors[key] * np.float32(factor)).astype(np.float16)
    return tensors


def write(name: str, directory: Path) -> Path:
    """Write the file `name` into `directory` and answer its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.safetensors"
    save_file(tensors_of(name), path)
    return path


def write_checkpoints(directory: Path) -> list[Path]:
    """Write every checkpoint into `directory`."""
    return [write(name, directory) for name in file_names() if name not in FOLDERS]


def write_tree(directory: Path) -> list[Path]:
    """Write every file into the sub-folder of its kind."""
    return [write(name, directory / FOLDERS.get(name, CHECKPOINTS)) for name in file_names()]


@functools.lru_cache(maxsize=1)
def _shapes() -> dict[str, dict[str, list[int]]]:
    shapes: dict[str, dict[str, list[int]]] = json.loads((HERE / "shapes.json").read_text())
    return shapes


def main() -> None:
    """Write the files and print each one's size and digest."""
    parser = argparse.ArgumentParser(description="Write the mini model files that the parity cases load.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tree", action="store_true", help="one sub-folder a kind: checkpoints/, vae/, ...")
    arguments = parser.parse_args()
    for path in (write_tree if arguments.tree else write_checkpoints)(arguments.directory):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sys.stdout.write(f"{path.name}  {path.stat().st_size / 1e6:.1f} MB  sha256 {digest}\n")


if __name__ == "__main__":
    main()
