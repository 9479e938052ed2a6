"""The models that stay in memory between jobs, in tiers: GPU, RAM and, below both, the volume."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runtime.errors import OutOfMemory
from runtime.models.file_identity import identity_of
from runtime.models.held import CacheHealth, Held, HeldHealth, Limits, Loading, Tier
from runtime.models.ram import free_ram_bytes

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
Model = TypeVar("Model")


class ModelCache:
    """Models by the file that they came from, loaded once.

    Where memory is short, what was asked for longest ago goes down a tier: from the GPU to RAM, where `limits` let it,
    and from RAM to the volume. What a job uses stays (`in_use`), and so does what was asked for last. A model that
    comes back to the GPU keeps its copy in RAM while there is room, so that going down again takes no time. Models
    are never changed: what a job still holds after it went down lives on until it lets go.

    A file that has changed is loaded anew. Safe to use from several threads: a file that two ask for at once is read
    once.
    """

    def __init__(self, device: torch.device, limits: Limits) -> None:
        self._device = device
        self._limits = limits
        self._lock = threading.RLock()
        self._loading: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._held: OrderedDict[Path, Held] = OrderedDict()
        self._scope = threading.local()
        self._in_use: Counter[Path] = Counter()
        self._counts: Counter[str] = Counter()
        self._load_s: defaultdict[str, float] = defaultdict(float)

    def attach(self, device: torch.device) -> None:
        """Serve models on `device` from now on."""
        self._device = device

    def get(self, path: Path, name: str, loading: Loading[Model], *, tier: Tier | None = None) -> Model:
        """The model of the file at `path`, in `tier` or above it; by default where jobs want its kind.

        `name` is for people. Raises what loading does, ModelMissing, OutOfMemory.
        """
        return self.ask(path, name, loading, tier=tier)[0]

    def ask(self, path: Path, name: str, loading: Loading[Model], *, tier: Tier | None = None) -> tuple[Model, bool]:
        """As `get`, and whether it was there already, with nothing to wait for."""
        tier = tier or self.home(loading)
        self.mark(path)
        with self._lock:
            lock = self._loading[path]
        had_to_wait = not lock.acquire(blocking=False)
        if had_to_wait:
            lock.acquire()
        try:
            identity = identity_of(path)
            model: Model | None = self._known(path, identity, tier)
            if model is not None:
                return model, not had_to_wait
            return self._bring(path, identity, name, loading, tier), False
        finally:
            lock.release()

    def home(self, loading: Loading[Model]) -> Tier:
        """Where jobs want models of a kind."""
        return Tier.GPU if self._device.type == "cuda" and loading.move is not None else Tier.RAM

    def mark(self, path: Path) -> None:
        """The model at `path` is in use until the end of the block that this thread is in, if it is in one."""
        scope: set[Path] | None = getattr(self._scope, "paths", None)
        if scope is not None and path not in scope:
            scope.add(path)
            with self._lock:
                self._in_use[path] += 1
                if path in self._held:
                    self._held.move_to_end(path)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """A block; what this thread asks for or marks in it stays in its tier until the block ends."""
        self._scope.paths = set()
        try:
            yield
        finally:
            with self._lock:
                self._in_use.subtract(self._scope.paths)
                self._in_use += Counter()  # what is counted down to nothing is forgotten
            self._scope.paths = None

    def has_room_on_gpu(self, size_bytes: int) -> bool:
        """Whether a model fits there beside everything that is there, with memory left to work in."""
        from runtime.diffusion.memory import free_bytes, working_bytes

        if self.size_bytes(Tier.GPU) + self._lora_bytes() + size_bytes > self._gpu_limit():
            return False
        return free_bytes(self._device) >= size_bytes + working_bytes(self._device)

    def size_bytes(self, tier: Tier) -> int:
        """The bytes of the models in a tier."""
        with self._lock:
            return sum(held.size_bytes for held in self._held.values() if tier in held.models)

    def free(self, keep: int = 0) -> None:
        """Take the models that were asked for longest ago from the device, in use or not, until `keep` bytes remain."""
        tier = Tier.GPU if self._device.type == "cuda" else Tier.RAM
        self._let_go_of_loras()
        with self._lock:
            for path in [path for path, held in self._held.items() if tier in held.models]:
                if self.size_bytes(tier) > keep:
                    self._lower(path, tier)
        if tier is Tier.GPU:
            self._return_memory()

    def health(self) -> CacheHealth:
        """What is in which tier now, and what it took."""
        with self._lock:
            models = [
                HeldHealth(
                    name=held.name,
                    tiers=tuple(tier.value for tier in Tier if tier in held.models),
                    size_bytes=held.size_bytes,
                    hits=held.hits,
                    load_s=round(held.load_s, 4),
                    in_use=self._in_use[path] > 0,
                )
                for path, held in self._held.items()
            ]
            counts = self._counts
            return CacheHealth(
                models=models,
                bytes={tier.value: self.size_bytes(tier) for tier in Tier},
                hits=counts["hits"],
                misses=counts["misses"],
                returns=counts["returns"],
                drops=counts["drops"],
                miss_s=self._load_s["misses"],
                return_s=self._load_s["returns"],
            )

    def _known(self, path: Path, identity: str, tier: Tier) -> Model | None:
        """The model where it is in `tier` or above; a model of a file that has changed is forgotten."""
        with self._lock:
            held = self._held.get(path)
            if held is None or held.identity != identity:
                self._held.pop(path, None)
                return None
            self._held.move_to_end(path)
            above = held.models.get(Tier.GPU)  # a copy in RAM is there for the GPU's sake alone
            model: Model | None = held.models.get(tier) if above is None else above
            if model is not None:
                held.hits += 1
                self._counts["hits"] += 1
            return model

    def _bring(self, path: Path, identity: str, name: str, loading: Loading[Model], tier: Tier) -> Model:
        """Bring the model into `tier`, from RAM if it is there, with room made for it before."""
        import torch

        target = self._device if tier is Tier.GPU else torch.device("cpu")
        begun = time.perf_counter()
        with self._lock:
            held = self._held.get(path)
            source: Model | None = held.models.get(Tier.RAM) if held else None
            self._make_room(tier, held.size_bytes if held else path.stat().st_size, but=path)
        model = self._retrying_without_others(path, lambda: _brought(path, source, loading, target))
        with self._lock:
            new = Held(name=name, identity=identity, size_bytes=0, loading=loading, models={})
            held = self._held.setdefault(path, new)
            held.size_bytes = loading.size_of(model)
            held.models[tier] = model
            held.load_s = time.perf_counter() - begun
            self._held.move_to_end(path)
            way = "misses" if source is None else "returns"
            self._counts[way] += 1
            self._load_s[way] += held.load_s
            self._keep_limits(but=path)
        _log.info("%s: %.1f MB in %s after %.2f s", name, held.size_bytes / 1e6, tier.value, held.load_s)
        return model

    def _retrying_without_others(self, path: Path, bring: Callable[[], Model]) -> Model:
        import torch

        try:
            return bring()
        except torch.OutOfMemoryError:
            _log.warning("out of memory at %s: dropping all other models", path)
        self.free()
        try:
            return bring()
        except torch.OutOfMemoryError as exc:
            raise OutOfMemory(f"{path} does not fit into the memory of {self._device}, also on its own") from exc

    def _make_room(self, tier: Tier, size_bytes: int, *, but: Path) -> None:
        """Let what nobody uses go down from `tier`, the oldest first, until there is room or nothing to let go."""
        has_room = self.has_room_on_gpu if tier is Tier.GPU else self._has_room_in_ram
        if has_room(size_bytes):
            return
        if self._device.type == "cpu" or tier is Tier.GPU:
            self._let_go_of_loras()
        for path in self._oldest_first(tier, but=but):
            if has_room(size_bytes):
                break
            self._lower(path, tier)
        self._return_memory()

    def _keep_limits(self, *, but: Path) -> None:
        """What came last may have turned out larger than its file: let others go for it."""
        for tier, limit in ((Tier.GPU, self._gpu_limit()), (Tier.RAM, self._limits.total_bytes)):
            for path in self._oldest_first(tier, but=but):
                total = self.size_bytes(tier) if tier is Tier.GPU else self._total_bytes()
                if total <= limit:
                    break
                self._lower(path, tier)

    def _oldest_first(self, tier: Tier, *, but: Path) -> list[Path]:
        """What may go down from `tier`; of what is in RAM, the copies of what is on the GPU before all others."""
        there = [path for path, held in self._held.items() if tier in held.models and path != but]
        copies = [path for path in there if tier is Tier.RAM and Tier.GPU in self._held[path].models]
        return copies + [path for path in there if path not in copies and not self._in_use[path]]

    def _lower(self, path: Path, tier: Tier) -> None:
        """Take a model out of `tier`, into the next one below that has room for it."""
        import torch

        held = self._held[path]
        model = held.models.pop(tier)
        can_move = tier is Tier.GPU and Tier.RAM not in held.models and self._limits.offload
        if can_move and held.loading.move is not None:
            self._make_room(Tier.RAM, held.size_bytes, but=path)
            if self._has_room_in_ram(held.size_bytes):
                held.models[Tier.RAM] = held.loading.move(model, torch.device("cpu"))
        _log.info("%s left %s for %s", held.name, tier.value, "RAM" if held.models else "the volume")
        if not held.models:
            del self._held[path]
            self._counts["drops"] += 1

    def _gpu_limit(self) -> float:
        from runtime.diffusion.memory import total_bytes

        if self._device.type != "cuda":
            return self._limits.gpu_bytes
        return min(self._limits.gpu_bytes, self._limits.gpu_fraction * total_bytes(self._device))

    def _has_room_in_ram(self, size_bytes: int) -> bool:
        return self._total_bytes() + size_bytes <= self._limits.total_bytes and free_ram_bytes() >= size_bytes

    def _total_bytes(self) -> int:
        return sum(self.size_bytes(tier) for tier in Tier) + self._lora_bytes()

    def _lora_bytes(self) -> int:
        from runtime.diffusion.applied_loras import APPLIED

        return APPLIED.size_bytes(self._device)

    def _let_go_of_loras(self) -> None:
        """Applied anew, a LoRA takes a part of the time that a model takes to come back."""
        from runtime.diffusion.applied_loras import APPLIED

        APPLIED.let_go()

    def _return_memory(self) -> None:
        """Give what is free now back to the device."""
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()


def _brought(path: Path, source: Model | None, loading: Loading[Model], target: torch.device) -> Model:
    """The model on `target`, out of its copy in RAM or out of its file."""
    if source is not None and loading.move is not None:
        return loading.move(source, target)
    return loading.load(path, target)
