"""The three networks as one file in the layout of SD 1.x."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from runtime.diffusion import kl, unet
from runtime.diffusion.clip import POSITIONS, ClipText
from runtime.diffusion.prediction import Prediction
from scripts.train_demo.vocabulary import Vocabulary
from scripts.train_demo.world import SIZE

_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_TEXT = "cond_stage_model.transformer.text_model."
_TABLE = "embeddings.token_embedding.weight"
# Linear layers here that SD 1.x keeps as convolutions of one place.
_CONVOLUTIONS = (".proj_in.weight", ".proj_out.weight", ".attn_1.q.weight", ".attn_1.k.weight", ".attn_1.v.weight")


def export(path: Path, *, unet: unet.UNet, text: ClipText, autoencoder: kl.KL, vocabulary: Vocabulary) -> None:
    """Write the checkpoint to `path`, beside and renamed; float16, with ModelSpec's metadata."""
    tensors = {name: tensor.cpu() for name, tensor in _tensors(unet, text, autoencoder, vocabulary)}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    save_file(tensors, draft, metadata=_metadata(tensors))
    draft.rename(path)


def _tensors(
    network: unet.UNet, text: ClipText, autoencoder: kl.KL, vocabulary: Vocabulary
) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in network.state_dict().items():
        yield _convolution(_UNET + unet.file_name(name), tensor)
    for name, tensor in autoencoder.state_dict().items():
        yield _convolution(_VAE + kl.file_name(name), tensor)
    for name, tensor in text.state_dict().items():
        yield _TEXT + name, (vocabulary.whole_table(tensor) if name == _TABLE else tensor).half().contiguous()
    yield f"{_TEXT}embeddings.position_ids", torch.arange(POSITIONS)[None]
    yield "alphas_cumprod", 1.0 / (1.0 + Prediction().sigmas.square())


def _convolution(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    is_convolution = name.endswith(_CONVOLUTIONS) and tensor.ndim == 2
    return name, (tensor[:, :, None, None] if is_convolution else tensor).half().contiguous()


def _metadata(tensors: dict[str, Tensor]) -> dict[str, str]:
    """Stability AI's ModelSpec, version 1.0.0 (source: Stability-AI/ModelSpec:README.md)."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "sgm",
        "modelspec.title": "Small World",
        "modelspec.author": "The authors of ComfyUI Serverless",
        "modelspec.description": "Draws coloured shapes on coloured grounds from English prompts (docs/demo_model.md).",
        "modelspec.date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "modelspec.license": "Apache-2.0",
        "modelspec.resolution": f"{SIZE}x{SIZE}",
        "modelspec.prediction_type": "epsilon",
        "modelspec.hash_sha256": f"0x{digest.hexdigest()}",
    }
