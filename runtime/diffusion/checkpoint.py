"""A checkpoint file as the three models that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from runtime.diffusion.detect import TEXT_PREFIXES, VAE_PREFIX, CheckpointLayout, detect
from runtime.diffusion.family import Family
from runtime.diffusion.kl import KL
from runtime.diffusion.kl_spec import kl_spec
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.prediction import Parameterization, Prediction
from runtime.diffusion.shape_tree import Shapes
from runtime.diffusion.text_encoder import TextEncoder
from runtime.diffusion.textual_inversion import Embeddings, no_embeddings
from runtime.diffusion.unet import UNet
from runtime.diffusion.vae import Autoencoder
from runtime.diffusion.vae_names import original_names
from runtime.errors import ModelCorrupt
from runtime.models.tensor_file import TensorFile, naming, open_tensors

# What an autoencoder is made of; training checkpoints keep more beside it.
_VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")

# The standard deviation that parts SD 2.x of eps (below) and v (above).
_V_SPREAD = 0.09


_FIRST_WITH_BFLOAT16 = (8, 0)  # the compute capability of Ampere


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint holds; `clip` and `vae` are None in a file of the diffusion model alone."""

    model: DiffusionModel
    clip: TextEncoder | None
    vae: Autoencoder | None
    family: Family

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in (self.model, self.clip, self.vae) if part is not None)

    def on(self, device: torch.device) -> Checkpoint:
        """A copy of all of them on `device`, the autoencoder on a GPU in the dtype that suits it there."""
        of_vae = vae_dtype(device, self.model.dtype) if device.type == "cuda" else None
        return Checkpoint(
            clip=None if self.clip is None else self.clip.on(device),
            model=self.model.on(device),
            vae=None if self.vae is None else self.vae.on(device, dtype=of_vae),
            family=self.family,
        )


def load_checkpoint(
    path: Path,
    *,
    device: torch.device,
    dtype: torch.dtype | None = None,
    embeddings: Embeddings = no_embeddings,
    may_map: bool = True,
) -> Checkpoint:
    """The models in the file at `path`, on `device`; `embeddings` finds the textual inversions that prompts name.

    Without `may_map` they share no memory with the file. `dtype` is that of UNet and text encoders; None chooses
    float32 on a CPU and float16 on a GPU. Each tensor is read once, into the memory in which it stays. Raises
    ModelCorrupt or ModelUnsafe, naming the file and its fault.
    """
    with open_tensors(path, may_map=may_map) as file, naming(path):
        shapes = file.shapes
        layout = detect(shapes)
        wanted = dtype or default_dtype(device)
        clip = _text_encoder(file, layout.family, embeddings, device, wanted)  # in the order in which a graph asks
        return Checkpoint(
            model=_model(file, layout, device, wanted),
            clip=clip,
            vae=_autoencoder(file, VAE_PREFIX, device, wanted) if _has(file, VAE_PREFIX) else None,
            family=layout.family,
        )


def load_vae(
    path: Path, *, device: torch.device, dtype: torch.dtype | None = None, may_map: bool = True
) -> Autoencoder:
    """The autoencoder in the file at `path`: alone, or that of a checkpoint. Else as `load_checkpoint`."""
    with open_tensors(path, may_map=may_map) as file, naming(path):
        prefix = VAE_PREFIX if _has(file, VAE_PREFIX) else ""
        return _autoencoder(file, prefix, device, dtype or default_dtype(device))


def check_checkpoint(shapes: Shapes) -> None:
    """Pass if a checkpoint whose tensors have these names and shapes is of a family that runs here.

    Raises ModelCorrupt, which says what it looks like.
    """
    layout = detect(shapes)
    if layout.family in (Family.SDXL, Family.SDXL_INPAINT):
        _marked_prediction(shapes)


def check_vae(shapes: Shapes) -> None:
    """The same of an autoencoder's file."""
    prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in shapes) else ""
    names = original_names(name.removeprefix(prefix) for name in shapes if name.startswith(prefix))
    kl_spec({name: shapes[prefix + own] for name, own in names.items() if name.startswith(_VAE_PARTS)})


def default_dtype(device: torch.device) -> torch.dtype:
    """What UNet and text encoders run in where nothing else is asked for."""
    return torch.float32 if device.type == "cpu" else torch.float16


def vae_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """What an autoencoder runs in beside a UNet in `dtype`: never float16, which SDXL's overflows.

    bfloat16 where the GPU computes in it; older ones only imitate it, far slower than they compute in float32.
    """
    if dtype != torch.float16:
        return dtype
    has_bfloat16 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _FIRST_WITH_BFLOAT16
    return torch.bfloat16 if has_bfloat16 else torch.float32


def _has(file: TensorFile, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in file.shapes)


def _under(file: TensorFile, prefixes: tuple[str, ...]) -> list[str]:
    return [name for name in file.shapes if name.startswith(prefixes)]


def _model(file: TensorFile, layout: CheckpointLayout, device: torch.device, dtype: torch.dtype) -> DiffusionModel:
    tensors = file.tensors(_under(file, (layout.unet_prefix,)), device=device, dtype=dtype)
    return DiffusionModel(
        unet=UNet.from_tensors(layout.unet, tensors, prefix=layout.unet_prefix),
        family=layout.family,
        prediction=_prediction(file, layout),
        device=device,
        dtype=dtype,
    )


def _prediction(file: TensorFile, layout: CheckpointLayout) -> Prediction:
    """What the UNet predicts, by the marks that its trainers left."""
    if layout.family in (Family.SDXL, Family.SDXL_INPAINT):
        return _marked_prediction(file.shapes)
    if layout.family is Family.SD2 and _looks_like_v(file, layout):
        return Prediction(parameterization=Parameterization.V)
    return Prediction()


def _marked_prediction(shapes: Shapes) -> Prediction:
    """SDXL's later trainers add tensors whose names alone say what the UNet predicts."""
    if edm := sorted(set(shapes) & {"edm_mean", "edm_std", "edm_vpred.sigma_max"}):
        raise ModelCorrupt(
            f"no checkpoint of a known family: {edm[0]} marks the EDM formulation, which is not supported"
        )
    if "v_pred" not in shapes:
        return Prediction()
    return Prediction(parameterization=Parameterization.V, zero_terminal_snr="ztsnr" in shapes)


def _looks_like_v(file: TensorFile, layout: CheckpointLayout) -> bool:
    """SD 2.x of v spreads wider in its last transformer (source: ComfyUI:comfy/supported_models.py)."""
    last = len(layout.unet.output_blocks) - 1
    name = f"{layout.unet_prefix}output_blocks.{last}.1.transformer_blocks.0.norm1.bias"
    if name not in file.shapes:
        return False
    bias = file.tensor(name, device=torch.device("cpu"), dtype=torch.float32)
    return bias.std(correction=0).item() > _V_SPREAD


def _text_encoder(
    file: TensorFile, family: Family, embeddings: Embeddings, device: torch.device, dtype: torch.dtype
) -> TextEncoder | None:
    names = _under(file, TEXT_PREFIXES)
    if not names:
        return None
    tensors = file.tensors(names, device=device, dtype=dtype)
    return TextEncoder.from_tensors(tensors, family, device=device, dtype=dtype, embeddings=embeddings)


def _autoencoder(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> Autoencoder:
    names = original_names(name.removeprefix(prefix) for name in _under(file, (prefix,)))
    names = {name: prefix + own for name, own in names.items() if name.startswith(_VAE_PARTS)}
    shapes = {name: file.shapes[own] for name, own in names.items()}
    spec, dtype = kl_spec(shapes), vae_dtype(device, dtype)
    found = file.tensors(names.values(), device=device, dtype=dtype)
    tensors = {name: found[own] for name, own in names.items()}
    return Autoencoder(KL.from_tensors(spec, tensors), device=device, dtype=dtype)
