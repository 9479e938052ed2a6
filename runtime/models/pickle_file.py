"""Tensors out of a PyTorch pickle (.ckpt, .pt, .pth, .bin), which is read as data and never run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from runtime.errors import ModelCorrupt, ModelUnsafe
from runtime.models.signature import PICKLE, signature

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_STATE_DICTS = ("state_dict", "params_ema", "params-ema", "params")
"""Where training checkpoints keep their tensors, the better ones first: averaged weights before the last ones."""


class PickleFile:
    """A pickle's tensors, by name; a context manager with the methods of `SafetensorsFile`.

    PyTorch's restricted unpickler makes tensors, plain numbers and containers and nothing else
    (`torch.load(weights_only=True)`). Tensors of a zip archive stay mapped to the file.
    """

    def __init__(self, path: Path) -> None:
        """Raises ModelUnsafe where the file needs more than that unpickler gives, else ModelCorrupt."""
        self.path = path
        self._tensors = _tensors(path, load_pickle(path))

    def __enter__(self) -> PickleFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._tensors = {}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def tensors(
        self, names: Iterable[str], *, device: torch.device, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """The named tensors on `device`, those of floating point in `dtype` (None: as they are stored)."""
        return {name: self.tensor(name, device=device, dtype=dtype) for name in names}

    def tensor(self, name: str, *, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
        """One tensor, as in `tensors`."""
        tensor = self._tensors[name]
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)


def load_pickle(path: Path) -> Any:
    """What the pickle at `path` holds, as data. Errors as of `PickleFile`."""
    import torch

    start = _start(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that other protocols than 2 may not be read
            return torch.load(path, map_location="cpu", weights_only=True, mmap=start.startswith(b"PK"))
    except pickle.UnpicklingError as exc:
        raise _refusal(path, start) from exc
    except (RuntimeError, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError) as exc:
        raise ModelCorrupt(f"{path} is not a whole PyTorch file ({type(exc).__name__}: {str(exc)[:120]})") from exc


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(32)
    except OSError as exc:
        raise ModelCorrupt(f"{path} cannot be read: {exc.strerror or exc}") from exc


def _refusal(path: Path, start: bytes) -> ModelCorrupt | ModelUnsafe:
    """The error for what the restricted unpickler would not take."""
    meaning = signature(start)
    if meaning is PICKLE:
        return ModelUnsafe(f"{path} holds more than tensors and could run code; convert it to safetensors elsewhere")
    return ModelCorrupt(f"{path} is not a PyTorch file" + (f": it is {meaning}" if meaning else ""))


def _tensors(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, or of the one that a training checkpoint keeps under a name of its own."""
    import torch

    if isinstance(loaded, Mapping):
        loaded = next((loaded[name] for name in _STATE_DICTS if isinstance(loaded.get(name), Mapping)), loaded)
    if not isinstance(loaded, Mapping):
        raise ModelCorrupt(f"{path} holds a {type(loaded).__name__}, expected tensors by name")
    return {name: value for name, value in loaded.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
