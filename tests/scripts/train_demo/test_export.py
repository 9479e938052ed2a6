"""The file that training writes, as the loader of a worker reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from runtime.diffusion.checkpoint import Checkpoint, load_checkpoint
from runtime.diffusion.clip import ClipText
from runtime.diffusion.family import Family
from scripts.train_demo import networks
from scripts.train_demo.autoencoder import scale_latents
from scripts.train_demo.export import export
from scripts.train_demo.language import context
from scripts.train_demo.vocabulary import Vocabulary

PROMPT = "a red unicorn on a blue background"  # with a word that the world lacks


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary()


@pytest.fixture(scope="module")
def text(vocabulary: Vocabulary) -> ClipText:
    return networks.text_transformer(torch.Generator().manual_seed(1), tokens=len(vocabulary))


@pytest.fixture(scope="module")
def path(vocabulary: Vocabulary, text: ClipText, tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = torch.Generator().manual_seed(2)
    path = tmp_path_factory.mktemp("model") / "fresh.safetensors"
    autoencoder, unet = networks.autoencoder(generator), networks.unet(generator)
    export(path, unet=unet, text=text, autoencoder=autoencoder, vocabulary=vocabulary)
    return path


@pytest.fixture(scope="module")
def checkpoint(path: Path) -> Checkpoint:
    return load_checkpoint(path, device=torch.device("cpu"))


def test_it_is_a_checkpoint_of_sd_1(checkpoint: Checkpoint) -> None:
    assert checkpoint.family is Family.SD1
    assert checkpoint.vae is not None
    assert (checkpoint.vae.downscale, checkpoint.vae.latent_channels) == (8, 4)


def test_a_worker_reads_a_prompt_as_training_did(
    checkpoint: Checkpoint, text: ClipText, vocabulary: Vocabulary
) -> None:
    assert checkpoint.clip is not None
    with torch.no_grad():
        wanted = context(text, torch.tensor([vocabulary.rows(PROMPT)]))
    torch.testing.assert_close(checkpoint.clip.encode(PROMPT)[0], wanted, atol=0.02, rtol=0.01)


def test_it_is_small_and_says_what_it_is(path: Path) -> None:
    assert path.stat().st_size < 40e6
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert metadata["modelspec.license"] == "Apache-2.0"


def test_latents_are_brought_to_unit_variance_and_pictures_stay_the_same() -> None:
    network = networks.autoencoder(torch.Generator().manual_seed(3)).eval()
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(4)) * 2.0 - 1.0
    with torch.no_grad():
        before = network.decode(network.encode(pictures))
        scale_latents(network, examples=pictures)
        latents = network.encode(pictures) * Family.SD1.facts.latent_scale
        torch.testing.assert_close(network.decode(network.encode(pictures)), before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(latents.std(correction=0), torch.tensor(1.0))
