from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from runtime.models.cache import ModelCache
from runtime.models.held import HeldHealth, Limits, Loading, Tier

GPU, CPU = torch.device("cuda"), torch.device("cpu")
SIZE = 400


@dataclass(frozen=True)
class Model:
    """A model of 400 bytes, of the file `name`."""

    name: str
    device: str


@dataclass
class Bench:
    """A cache of models on a GPU that holds `room` bytes of them; `ways` are the loads and moves, in order."""

    folder: Path
    room: int = 10 * SIZE
    ways: list[str] = field(default_factory=list)
    cache: ModelCache = field(init=False)

    def use(self, limits: Limits | None = None, device: torch.device = GPU) -> ModelCache:
        self.cache = ModelCache(device, limits or Limits())
        return self.cache

    def path(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            path.write_bytes(bytes(SIZE))
        return path

    def get(self, name: str, tier: Tier | None = None) -> Model:
        return self.cache.get(self.path(name), name, self.loading, tier=tier)

    @property
    def loading(self) -> Loading[Model]:
        return Loading(load=self._load, size_of=lambda model: SIZE, move=self._move)

    def tiers(self) -> dict[str, str]:
        return {held.name: "+".join(held.tiers) for held in self.cache.health().models}

    def _load(self, path: Path, device: torch.device) -> Model:
        self.ways.append(f"load {path.name} to {device.type}")
        return Model(path.name, device.type)

    def _move(self, model: Model, device: torch.device) -> Model:
        self.ways.append(f"move {model.name} to {device.type}")
        return Model(model.name, device.type)

    def free_on_gpu(self, _: torch.device) -> int:
        return self.room - self.cache.size_bytes(Tier.GPU)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    monkeypatch.setattr("runtime.diffusion.memory.free_bytes", bench.free_on_gpu)
    monkeypatch.setattr("runtime.diffusion.memory.working_bytes", lambda device: 0)
    monkeypatch.setattr("runtime.diffusion.memory.total_bytes", lambda device: bench.room)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    return bench


def test_a_model_is_loaded_to_the_gpu_once(bench: Bench) -> None:
    bench.use()
    assert bench.get("a") is bench.get("a")
    assert (bench.ways, bench.tiers()) == (["load a to cuda"], {"a": "gpu"})


def test_where_the_gpu_is_short_the_oldest_goes_down_to_ram(bench: Bench) -> None:
    bench.room = 2 * SIZE
    bench.use()
    for name in ("a", "b", "a", "c"):
        bench.get(name)
    assert bench.tiers() == {"b": "ram", "a": "gpu", "c": "gpu"}


def test_what_comes_back_from_ram_is_moved_and_not_read(bench: Bench) -> None:
    bench.room = SIZE
    bench.use()
    for name in ("a", "b", "a"):
        bench.get(name)
    assert bench.ways == ["load a to cuda", "move a to cpu", "load b to cuda", "move b to cpu", "move a to cuda"]


def test_switching_between_two_models_that_ram_holds_moves_each_up_alone(bench: Bench) -> None:
    bench.room = SIZE
    bench.use()
    for name in ("a", "b", "a", "b"):
        bench.get(name)
    bench.ways.clear()
    for name in ("a", "b", "a", "b"):
        assert bench.get(name).device == "cuda"
    assert bench.ways == ["move a to cuda", "move b to cuda", "move a to cuda", "move b to cuda"]
    assert bench.cache.health().bytes == {"gpu": SIZE, "ram": 2 * SIZE}


def test_without_offload_what_leaves_the_gpu_is_on_the_volume_alone(bench: Bench) -> None:
    bench.room = SIZE
    bench.use(Limits(offload=False))
    for name in ("a", "b"):
        bench.get(name)
    assert bench.tiers() == {"b": "gpu"}


@pytest.mark.parametrize("limits", [Limits(gpu_bytes=SIZE), Limits(gpu_fraction=0.1)], ids=["bytes", "fraction"])
def test_the_gpus_limits_are_kept_where_it_has_room(bench: Bench, limits: Limits) -> None:
    bench.use(limits)
    for name in ("a", "b"):
        bench.get(name)
    assert bench.tiers() == {"a": "ram", "b": "gpu"}


def test_the_limit_of_all_tiers_together_sends_the_oldest_to_the_volume(bench: Bench) -> None:
    bench.room = SIZE
    bench.use(Limits(total_bytes=2 * SIZE))
    for name in ("a", "b", "c"):
        bench.get(name)
    assert bench.tiers() == {"b": "ram", "c": "gpu"}


def test_a_copy_in_ram_of_what_is_on_the_gpu_goes_before_anything_else(bench: Bench) -> None:
    bench.room = SIZE
    bench.use(Limits(total_bytes=3 * SIZE))
    for name in ("a", "b", "a"):
        bench.get(name)
    assert bench.tiers() == {"b": "ram", "a": "gpu+ram"}
    bench.get("c", Tier.RAM)
    assert bench.tiers() == {"b": "ram", "a": "gpu", "c": "ram"}


def test_a_model_in_use_stays_where_it_is(bench: Bench) -> None:
    bench.room = 2 * SIZE
    bench.use()
    with bench.cache.in_use():
        for name in ("a", "b", "c"):
            bench.get(name)
        assert set(bench.tiers().values()) == {"gpu"}
        assert all(held.in_use for held in bench.cache.health().models)
    assert not any(held.in_use for held in bench.cache.health().models)
    bench.get("d")
    assert bench.tiers() == {"a": "ram", "b": "ram", "c": "gpu", "d": "gpu"}


def test_a_model_that_is_marked_is_in_use_and_the_newest_without_being_asked_for(bench: Bench) -> None:
    bench.room = 2 * SIZE
    bench.use()
    for name in ("a", "b"):
        bench.get(name)
    with bench.cache.in_use():
        bench.cache.mark(bench.path("a"))
        bench.get("c")
    assert bench.tiers() == {"b": "ram", "a": "gpu", "c": "gpu"}


def test_what_another_thread_asks_for_is_not_in_use_for_this_one(bench: Bench) -> None:
    bench.use()
    with bench.cache.in_use():
        thread = threading.Thread(target=bench.get, args=("a",))
        thread.start()
        thread.join()
    assert [held.in_use for held in bench.cache.health().models] == [False]


def test_a_model_that_ram_is_asked_for_is_not_loaded_twice_where_the_gpu_has_it(bench: Bench) -> None:
    bench.use()
    bench.get("a")
    bench.get("a", Tier.RAM)
    assert bench.ways == ["load a to cuda"]


def test_a_model_preloaded_to_ram_is_moved_to_the_gpu_by_the_first_job(bench: Bench) -> None:
    bench.use()
    bench.get("a", Tier.RAM)
    assert bench.get("a").device == "cuda"
    assert bench.ways == ["load a to cpu", "move a to cuda"]


def test_a_file_that_has_changed_is_forgotten_in_every_tier(bench: Bench) -> None:
    bench.use()
    bench.get("a", Tier.RAM)
    bench.get("a")
    bench.path("a").write_bytes(bytes(2 * SIZE))
    bench.get("a")
    assert bench.ways[-1] == "load a to cuda"
    assert bench.tiers() == {"a": "gpu"}


def test_where_memory_is_short_nothing_is_kept_in_ram(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.models.cache.free_ram_bytes", lambda: SIZE - 1)
    bench.room = SIZE
    bench.use()
    for name in ("a", "b"):
        bench.get(name)
    assert bench.tiers() == {"b": "gpu"}


def test_freeing_the_gpu_sends_everything_down_in_use_or_not(bench: Bench) -> None:
    bench.use()
    with bench.cache.in_use():
        bench.get("a")
        bench.get("b")
        bench.cache.free()
    assert bench.tiers() == {"a": "ram", "b": "ram"}


def test_on_a_cpu_everything_is_in_ram(bench: Bench) -> None:
    bench.use(device=CPU)
    bench.get("a")
    assert bench.tiers() == {"a": "ram"}


def test_health_counts_what_was_there_what_was_moved_and_what_was_read(bench: Bench) -> None:
    bench.room = SIZE
    bench.use(Limits(total_bytes=2 * SIZE))
    for name in ("a", "a", "b", "a", "c"):
        bench.get(name)
    health = bench.cache.health()
    assert (health.hits, health.misses, health.returns, health.drops) == (1, 3, 1, 1)
    (a, c) = health.models
    assert c == HeldHealth(name="c", tiers=("gpu",), size_bytes=SIZE, hits=0, load_s=c.load_s, in_use=False)
    assert (a.name, a.tiers) == ("a", ("ram",))
    assert c.load_s >= 0


def test_threads_that_take_turns_see_each_model_whole(bench: Bench) -> None:
    bench.room = 2 * SIZE
    bench.use(Limits(total_bytes=3 * SIZE))
    wrong: list[Model] = []

    def ask(seed: int) -> None:
        for place in range(50):
            name = "abcde"[(place * seed) % 5]
            with bench.cache.in_use():
                model = bench.get(name)
                if (model.name, model.device) != (name, "cuda"):
                    wrong.append(model)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(bench.cache.health().bytes.values()) <= 5 * SIZE
    assert not any(held.in_use for held in bench.cache.health().models)
