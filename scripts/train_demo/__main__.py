"""Train the demo checkpoint and write it: `python -m scripts.train_demo`; run it again to go on where it stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from scripts.train_demo.autoencoder import polish_decoder, train_autoencoder
from scripts.train_demo.denoiser import train_denoiser
from scripts.train_demo.export import export
from scripts.train_demo.language import train_text
from scripts.train_demo.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """The stages, then the file."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)  # a thread a part of the batch instead
    arguments.work.mkdir(parents=True, exist_ok=True)
    shared = {"folder": arguments.work, "seed": arguments.seed, "device": torch.device(arguments.device)}
    vocabulary = Vocabulary()
    text = train_text(vocabulary, steps=arguments.language_steps, **shared)
    autoencoder = train_autoencoder(steps=arguments.autoencoder_steps, **shared)
    autoencoder = polish_decoder(autoencoder, steps=arguments.decoder_steps, **shared)
    unet = train_denoiser(
        autoencoder, text, vocabulary, steps=arguments.denoiser_steps, examples=arguments.examples, **shared
    )
    export(arguments.output, unet=unet, text=text, autoencoder=autoencoder, vocabulary=vocabulary)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.train_demo", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "data" / "train_demo", help="checkpoints and sample sheets")
    parser.add_argument("--output", type=Path, default=ROOT / "models" / "checkpoints" / "small_world.safetensors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--language-steps", type=int, default=700)
    parser.add_argument("--autoencoder-steps", type=int, default=1300)
    parser.add_argument("--decoder-steps", type=int, default=8500)
    parser.add_argument("--denoiser-steps", type=int, default=5200)
    parser.add_argument("--examples", type=int, default=8000, help="pictures that the UNet learns from")
    return parser


if __name__ == "__main__":
    main()
