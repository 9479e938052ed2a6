"""Draw the pictures of docs/demo_model.png: `python -m scripts.train_demo.gallery`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from runtime.diffusion.checkpoint import load_checkpoint
from scripts.train_demo import sheet
from scripts.train_demo.denoiser import SHEET_PROMPTS
from scripts.train_demo.evaluate import GUIDANCE, STEPS, draw

ROOT = Path(__file__).resolve().parents[2]
_SEED = 42
_PROMPTS = (
    *(prompt for prompt in SHEET_PROMPTS if " on " in prompt),  # the whole ones
    "a large purple heart on a yellow background",
    "a yellow square below a red triangle on a blue background",
)


def main() -> None:
    """Two rows of six."""
    checkpoint = load_checkpoint(
        ROOT / "models" / "checkpoints" / "small_world.safetensors", device=torch.device("cpu")
    )
    pictures = draw(checkpoint, _PROMPTS, seed=_SEED, steps=STEPS, guidance=GUIDANCE)
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    sheet.save(ROOT / "docs" / "demo_model.png", pixels.permute(0, 3, 1, 2) / 127.5 - 1.0, columns=6)


if __name__ == "__main__":
    main()
