"""The models that stay in memory between jobs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.errors import InvalidRequest, ModelCorrupt, ModelMissing, OutOfMemory
from runtime.models.folders import SUFFIXES, ModelFolders
from runtime.models.tensor_file import SAFETENSORS_SUFFIXES, open_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from runtime.diffusion.checkpoint import Checkpoint
    from runtime.diffusion.vae import Autoencoder

_log = logging.getLogger(__name__)
Model = TypeVar("Model")


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A model in memory, with the identity of the file that it came from."""

    model: Any
    identity: str
    size_bytes: int


class ModelStore:
    """Models by name, loaded once and kept while memory is given to them.

    Beyond `limit_bytes` (None: no limit) those that were asked for longest ago are dropped, on a GPU also where a load
    would leave a job too little memory to work in; the one that was asked for last is always kept, and what a job still
    holds lives on until it lets go. A file that has changed is loaded anew.
    Safe to use from several threads: a file that two ask for at once is read once.
    """

    def __init__(
        self,
        folders: ModelFolders,
        *,
        device: torch.device,
        dtype: torch.dtype | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        self._folders = folders
        self._device = device
        self._dtype = dtype
        self._limit_bytes = math.inf if limit_bytes is None else limit_bytes
        self._lock = threading.Lock()
        self._loading: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()
        self.load_seconds = 0.0
        """The time that all loads have taken together."""

    def names(self, kind: str) -> list[str]:
        """Every model of `kind` on the volume, sorted."""
        return self._folders.names(kind)

    def path(self, kind: str, name: str) -> Path:
        """The file of a model. Raises InvalidRequest or ModelMissing."""
        return self._folders.path(kind, name)

    def identity(self, kind: str, name: str) -> str:
        """What changes whenever the file of a model does, at the cost of one look at it."""
        return _identity(self.path(kind, name))

    def checkpoint(self, name: str) -> Checkpoint:
        """The models of a checkpoint. Raises ModelMissing, ModelCorrupt, ModelUnsafe, OutOfMemory."""

        def load(path: Path) -> tuple[Checkpoint, int]:
            from runtime.diffusion.checkpoint import load_checkpoint

            checkpoint = load_checkpoint(path, device=self._device, dtype=self._dtype, embeddings=self.embedding)
            return checkpoint, checkpoint.size_bytes

        return self._get(self.path("checkpoints", name), load)

    def vae(self, name: str) -> Autoencoder:
        """The autoencoder of a file of its own. Errors as of `checkpoint`."""

        def load(path: Path) -> tuple[Autoencoder, int]:
            from runtime.diffusion.checkpoint import load_vae

            vae = load_vae(path, device=self._device, dtype=self._dtype)
            return vae, vae.size_bytes

        return self._get(self.path("vae", name), load)

    def lora(self, name: str) -> Mapping[str, Tensor]:
        """The tensors of a LoRA on the CPU, as they are stored. Errors as of `checkpoint`."""
        return self._get(self.path("loras", name), _load_tensors)

    def embedding(self, name: str) -> Mapping[str, Any] | None:
        """What the file of a textual inversion holds, by its name with or without suffix; None where there is none."""
        for suffix in ("", *SUFFIXES):
            try:
                path = self.path("embeddings", name + suffix)
            except (ModelMissing, InvalidRequest):
                continue
            return self._get(path, _load_embedding)
        return None

    @property
    def loaded_bytes(self) -> int:
        """The bytes of the models that are kept."""
        with self._lock:
            return self._total_bytes()

    def free(self, keep: int = 0) -> None:
        """Drop what was asked for longest ago, until at most `keep` bytes are kept."""
        with self._lock:
            self._drop_until(keep)
        self._return_memory()

    def _get(self, path: Path, load: Callable[[Path], tuple[Model, int]]) -> Model:
        with self._lock:
            loading = self._loading[path]
        with loading:
            identity = _identity(path)
            known = self._known(path, identity)
            if known is None:
                known = self._load(path, identity, load)
            model: Model = known.model
            return model

    def _known(self, path: Path, identity: str) -> _Loaded | None:
        with self._lock:
            known = self._loaded.get(path)
            if known is None or known.identity != identity:
                self._loaded.pop(path, None)
                return None
            self._loaded.move_to_end(path)
            return known

    def _load(self, path: Path, identity: str, load: Callable[[Path], tuple[Model, int]]) -> _Loaded:
        """Load, with room made before for what the file takes, and after for what the model does."""
        with self._lock:
            self._drop_until(self._limit_bytes - path.stat().st_size)
            if self._device.type == "cuda":
                self._make_room(path.stat().st_size)
        begun = time.perf_counter()
        model, size_bytes = self._retrying_without_others(path, load)
        elapsed = time.perf_counter() - begun
        loaded = _Loaded(model=model, identity=identity, size_bytes=size_bytes)
        with self._lock:
            self.load_seconds += elapsed
            self._loaded[path] = loaded
            self._drop_until(self._limit_bytes, but=1)
        _log.info("loaded %s: %.1f MB in %.2f s", path, size_bytes / 1e6, elapsed)
        return loaded

    def _retrying_without_others(self, path: Path, load: Callable[[Path], tuple[Model, int]]) -> tuple[Model, int]:
        import torch

        try:
            return load(path)
        except torch.OutOfMemoryError:
            _log.warning("out of memory at %s: dropping all other models", path)
        self.free()
        try:
            return load(path)
        except torch.OutOfMemoryError as exc:
            raise OutOfMemory(f"{path} does not fit into the memory of {self._device}, also on its own") from exc

    def _make_room(self, size_bytes: int) -> None:
        """Drop the oldest until the GPU has room for a model of `size_bytes` and for work with it."""
        from runtime.diffusion.memory import free_bytes, working_bytes

        needed = size_bytes + working_bytes(self._device)
        while self._loaded and free_bytes(self._device) < needed:
            self._drop_oldest()

    def _drop_until(self, keep_bytes: float, *, but: int = 0) -> None:
        """Drop the oldest until at most `keep_bytes` are kept, `but` the newest so many."""
        while len(self._loaded) > but and self._total_bytes() > keep_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        path, _ = self._loaded.popitem(last=False)
        _log.info("dropped %s", path)

    def _total_bytes(self) -> int:
        return sum(loaded.size_bytes for loaded in self._loaded.values())

    def _return_memory(self) -> None:
        """Give what is free now back to the device."""
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()


def _load_tensors(path: Path) -> tuple[Mapping[str, Tensor], int]:
    import torch

    with open_tensors(path) as file:
        tensors = file.tensors(file.shapes, device=torch.device("cpu"))
    return tensors, sum(tensor.nbytes for tensor in tensors.values())


def _load_embedding(path: Path) -> tuple[Mapping[str, Any], int]:
    """A textual inversion: tensors, or the nested dictionaries that the first tools pickled them in."""
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        return _load_tensors(path)
    from runtime.models.pickle_file import load_pickle

    entries = load_pickle(path)
    if not isinstance(entries, Mapping):
        raise ModelCorrupt(f"{path} holds a {type(entries).__name__}, expected an embedding by name")
    return entries, path.stat().st_size


def _identity(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as exc:
        raise ModelMissing(f"{path} is no longer there: {exc.strerror or exc}") from exc
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
