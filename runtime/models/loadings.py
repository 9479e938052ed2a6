"""How each kind of model comes from its file into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.errors import ModelCorrupt
from runtime.models.held import Loading
from runtime.models.tensor_file import SAFETENSORS_SUFFIXES, open_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from runtime.diffusion.checkpoint import Checkpoint
    from runtime.diffusion.control import ControlModel
    from runtime.diffusion.vae import Autoencoder
    from runtime.upscaling.upscaler import Upscaler

Movable = TypeVar("Movable", "Checkpoint", "ControlModel", "Upscaler")


class Loadings:
    """The ways of the native engine's kinds of model.

    `dtype` is what diffusion models and text encoders run in, None for what suits the device. `for_gpu`: what is loaded
    into RAM waits there for a GPU. It then has the GPU's dtype, and memory that the GPU can read by itself.
    """

    def __init__(
        self, dtype: torch.dtype | None, embeddings: Callable[[str], Mapping[str, Any] | None], *, for_gpu: bool
    ) -> None:
        self._dtype = dtype
        self._embeddings = embeddings
        self.for_gpu = for_gpu
        self.checkpoint: Loading[Checkpoint] = Loading(load=self._load_checkpoint, size_of=_size, move=_move)
        self.vae: Loading[Autoencoder] = Loading(load=self._load_vae, size_of=_size, move=self._move_vae)
        self.control: Loading[ControlModel] = Loading(load=self._load_control, size_of=_size, move=_move)
        self.upscaler: Loading[Upscaler] = Loading(load=self._load_upscaler, size_of=_size, move=_move)
        self.lora: Loading[Mapping[str, Tensor]] = Loading(load=_load_tensors, size_of=_size_of_tensors, move=None)
        self.embedding: Loading[Mapping[str, Any]] = Loading(load=_load_embedding, size_of=_size_of_tensors, move=None)

    def of_kind(self, kind: str) -> Loading[Any] | None:
        """The way of a kind by its folder's name; None for one that the native engine has no use for."""
        ways: Mapping[str, Loading[Any]] = {
            "checkpoints": self.checkpoint,
            "vae": self.vae,
            "loras": self.lora,
            "controlnet": self.control,
            "upscale_models": self.upscaler,
            "embeddings": self.embedding,
        }
        return ways.get(kind)

    def _load_checkpoint(self, path: Path, device: torch.device) -> Checkpoint:
        from runtime.diffusion.checkpoint import load_checkpoint

        dtype, may_map = self._wanted(device)
        return load_checkpoint(path, device=device, dtype=dtype, embeddings=self._embeddings, may_map=may_map)

    def _load_vae(self, path: Path, device: torch.device) -> Autoencoder:
        from runtime.diffusion.checkpoint import load_vae

        dtype, may_map = self._wanted(device)
        return load_vae(path, device=device, dtype=dtype, may_map=may_map)

    def _move_vae(self, vae: Autoencoder, device: torch.device) -> Autoencoder:
        from runtime.diffusion.checkpoint import default_dtype, vae_dtype

        if device.type == "cpu":
            return vae.on(device)
        return vae.on(device, dtype=vae_dtype(device, self._dtype or default_dtype(device)))

    def _load_control(self, path: Path, device: torch.device) -> ControlModel:
        from runtime.diffusion.control import load_control

        dtype, may_map = self._wanted(device)
        return load_control(path, device=device, dtype=dtype, may_map=may_map)

    def _load_upscaler(self, path: Path, device: torch.device) -> Upscaler:
        from runtime.upscaling.upscaler import load_upscaler

        return load_upscaler(path, device=device, may_map=self._wanted(device)[1])

    def _wanted(self, device: torch.device) -> tuple[torch.dtype | None, bool]:
        """The dtype of a model that is loaded to `device`, and whether it may share memory with its file."""
        import torch

        waits = self.for_gpu and device.type == "cpu"
        return (torch.float16 if waits and self._dtype is None else self._dtype), not waits


def _size(model: Checkpoint | Autoencoder | ControlModel | Upscaler) -> int:
    return model.size_bytes


def _move(model: Movable, device: torch.device) -> Movable:
    return model.on(device)


def _load_tensors(path: Path, device: torch.device) -> Mapping[str, Tensor]:
    with open_tensors(path) as file:
        return file.tensors(file.shapes, device=device)


def _load_embedding(path: Path, device: torch.device) -> Mapping[str, Any]:
    """A textual inversion: tensors, or the nested dictionaries that the first tools pickled them in."""
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        return _load_tensors(path, device)
    from runtime.models.pickle_file import load_pickle

    entries = load_pickle(path)
    if not isinstance(entries, Mapping):
        raise ModelCorrupt(f"{path} holds a {type(entries).__name__}, expected an embedding by name")
    return entries


def _size_of_tensors(entries: Mapping[str, Any]) -> int:
    """The bytes of the tensors in `entries`, also of those in dictionaries inside it."""
    size = 0
    for value in entries.values():
        size += _size_of_tensors(value) if isinstance(value, Mapping) else getattr(value, "nbytes", 0)
    return size
