"""The models of a volume by name, loaded once and kept warm between jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.errors import InvalidRequest, ModelMissing
from runtime.models.cache import ModelCache
from runtime.models.file_identity import identity_of
from runtime.models.folders import SUFFIXES, ModelFolders
from runtime.models.held import CacheHealth, Limits, Loading, Tier
from runtime.models.loadings import Loadings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from runtime.diffusion.checkpoint import Checkpoint
    from runtime.diffusion.control import ControlModel
    from runtime.diffusion.vae import Autoencoder
    from runtime.upscaling.upscaler import Upscaler

Model = TypeVar("Model")


class ModelStore:
    """Models by kind and name, kept as `ModelCache` keeps them: on `device`, in RAM, or on the volume alone.

    `dtype` is what diffusion models and text encoders run in, None for what suits the device. A store that is built
    with `for_gpu` on a CPU loads what a GPU will run, without touching one, until `attach` gives it one.
    """

    def __init__(
        self,
        folders: ModelFolders,
        *,
        device: torch.device,
        dtype: torch.dtype | None = None,
        limits: Limits | None = None,
        for_gpu: bool = False,
    ) -> None:
        self._folders = folders
        self._cache = ModelCache(device, limits or Limits())
        self._loadings = Loadings(dtype, self.embedding, for_gpu=for_gpu or device.type == "cuda")
        self.load_seconds = 0.0
        """The time that jobs have waited for models, all together."""

    def names(self, kind: str) -> list[str]:
        """Every model of `kind` on the volume, sorted."""
        return self._folders.names(kind)

    def path(self, kind: str, name: str) -> Path:
        """The file of a model. Raises InvalidRequest or ModelMissing."""
        return self._folders.path(kind, name)

    def identity(self, kind: str, name: str) -> str:
        """What changes whenever the file of a model does, at the cost of one look at it; it counts as used."""
        path = self.path(kind, name)
        self._cache.mark(path)
        return identity_of(path)

    def checkpoint(self, name: str) -> Checkpoint:
        """The models of a checkpoint. Raises ModelMissing, ModelCorrupt, ModelUnsafe, OutOfMemory."""
        return self._for_job("checkpoints", name, self._loadings.checkpoint)

    def vae(self, name: str) -> Autoencoder:
        """The autoencoder of a file of its own. Errors as of `checkpoint`."""
        return self._for_job("vae", name, self._loadings.vae)

    def control(self, name: str) -> ControlModel:
        """A ControlNet. Errors as of `checkpoint`."""
        return self._for_job("controlnet", name, self._loadings.control)

    def upscaler(self, name: str) -> Upscaler:
        """An upscale model. Errors as of `checkpoint`."""
        return self._for_job("upscale_models", name, self._loadings.upscaler)

    def lora(self, name: str) -> Mapping[str, Tensor]:
        """The tensors of a LoRA on the CPU, as they are stored. Errors as of `checkpoint`."""
        return self._for_job("loras", name, self._loadings.lora)

    def embedding(self, name: str) -> Mapping[str, Any] | None:
        """What the file of a textual inversion holds, by its name with or without suffix; None where there is none."""
        for suffix in ("", *SUFFIXES):
            try:
                self.path("embeddings", name + suffix)
            except (ModelMissing, InvalidRequest):
                continue
            return self._for_job("embeddings", name + suffix, self._loadings.embedding)
        return None

    def warm(self, kind: str, name: str, *, tier: Tier | None = None) -> bool:
        """Bring a model into `tier` before a job asks for it; False for a kind that no job of the native engine loads.

        Without `tier` it goes to the device, but to RAM where the GPU has no room beside what is there: the job at
        work is not disturbed. Errors as of `checkpoint`.
        """
        loading = self._loadings.of_kind(kind)
        if loading is None:
            return False
        path = self.path(kind, name)
        home = self._cache.home(loading)
        if tier is None and home is Tier.GPU and not self._cache.has_room_on_gpu(path.stat().st_size):
            tier = Tier.RAM
        self._cache.get(path, f"{kind}/{name}", loading, tier=Tier.RAM if home is Tier.RAM else tier)
        return True

    def in_use(self) -> AbstractContextManager[None]:
        """A block: the models that this thread asks for, by name or identity, stay in their tier until it ends."""
        return self._cache.in_use()

    def attach(self, device: torch.device) -> None:
        """Run models on `device` from now on; what waits in RAM for a GPU goes there when it is asked for."""
        if self._loadings.for_gpu and device.type == "cpu":  # there is none after all
            self._cache.free()
        self._loadings.for_gpu = device.type == "cuda"
        self._cache.attach(device)

    def health(self) -> CacheHealth:
        """What is in which tier."""
        return self._cache.health()

    @property
    def loaded_bytes(self) -> int:
        """The bytes of the models that are kept, in whichever tier."""
        return sum(self.health().bytes.values())

    def free(self, keep: int = 0) -> None:
        """Take the models that were asked for longest ago from the device, until at most `keep` bytes are there."""
        self._cache.free(keep)

    def _for_job(self, kind: str, name: str, loading: Loading[Model]) -> Model:
        path = self.path(kind, name)
        begun = time.perf_counter()
        model, was_there = self._cache.ask(path, f"{kind}/{name}", loading)
        if not was_there:
            self.load_seconds += time.perf_counter() - begun
        return model
