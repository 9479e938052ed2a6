from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import ModelCorrupt, ModelMissing, OutOfMemory
from runtime.models.folders import ModelFolders
from runtime.models.held import Limits
from runtime.models.store import ModelStore
from runtime.models.tensor_file import TensorFile, open_tensors
from scripts.parity.pretended_gpu import pretended_gpu

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A models folder with three LoRAs of 400 bytes each."""
    folder = tmp_path / "models" / "loras"
    folder.mkdir(parents=True)
    for index, name in enumerate("abc"):
        save_file({"weight": torch.full((100,), float(index))}, folder / f"{name}.safetensors")
    return tmp_path / "models"


@pytest.fixture
def store(root: Path) -> ModelStore:
    return ModelStore(ModelFolders([root]), device=CPU)


def _value(tensors: Mapping[str, torch.Tensor]) -> float:
    return tensors["weight"][0].item()


def test_a_model_is_loaded_once_and_then_warm(store: ModelStore) -> None:
    assert store.lora("a.safetensors") is store.lora("a.safetensors")
    assert store.loaded_bytes == 400


def test_the_time_of_a_load_is_counted_and_a_warm_model_adds_none(store: ModelStore) -> None:
    store.lora("a.safetensors")
    first = store.load_seconds
    store.lora("a.safetensors")
    assert first > 0
    assert store.load_seconds == first


def test_beyond_the_limit_what_was_asked_for_longest_ago_goes(root: Path) -> None:
    store = ModelStore(ModelFolders([root]), device=CPU, limits=Limits(total_bytes=1000))
    a, b = store.lora("a.safetensors"), store.lora("b.safetensors")
    store.lora("a.safetensors")
    store.lora("c.safetensors")
    assert store.lora("a.safetensors") is a
    assert store.lora("b.safetensors") is not b


def test_the_last_model_is_kept_although_it_is_beyond_the_limit_alone(root: Path) -> None:
    store = ModelStore(ModelFolders([root]), device=CPU, limits=Limits(total_bytes=10))
    assert store.lora("a.safetensors") is store.lora("a.safetensors")


def test_a_file_that_changed_is_loaded_anew(root: Path, store: ModelStore) -> None:
    before = store.identity("loras", "a.safetensors")
    assert _value(store.lora("a.safetensors")) == 0
    draft = root / "draft"
    save_file({"weight": torch.full((100,), 7.0)}, draft)
    draft.replace(root / "loras" / "a.safetensors")
    assert store.identity("loras", "a.safetensors") != before
    assert _value(store.lora("a.safetensors")) == 7
    assert store.loaded_bytes == 400


def test_a_model_that_a_job_still_holds_outlives_its_file_and_the_cache(root: Path, store: ModelStore) -> None:
    held = store.lora("b.safetensors")
    (root / "loras" / "b.safetensors").unlink()
    store.free()
    assert _value(held) == 1
    with pytest.raises(ModelMissing):
        store.lora("b.safetensors")


@pytest.mark.parametrize(("keep", "left"), [(0, 0), (500, 400), (10_000, 1200)])
def test_free_drops_down_to_what_shall_be_kept(store: ModelStore, keep: int, left: int) -> None:
    for name in "abc":
        store.lora(f"{name}.safetensors")
    store.free(keep=keep)
    assert store.loaded_bytes == left


def test_threads_that_ask_at_once_get_the_one_model(store: ModelStore) -> None:
    start = threading.Barrier(4)

    def ask(_: int) -> Mapping[str, torch.Tensor]:
        start.wait()
        return store.lora("a.safetensors")

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(ask, range(4)))
    assert all(model is models[0] for model in models)


def test_a_corrupt_file_is_refused_each_time_and_serves_once_it_is_mended(root: Path, store: ModelStore) -> None:
    path = root / "loras" / "a.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    for _ in range(2):
        with pytest.raises(ModelCorrupt):
            store.lora("a.safetensors")
    path.write_bytes(whole)
    assert _value(store.lora("a.safetensors")) == 0


def test_a_checkpoint_and_a_vae_come_ready_to_run(mini_models: Path) -> None:
    store = ModelStore(ModelFolders([mini_models]), device=CPU)
    checkpoint = store.checkpoint("sd1_mini.safetensors")
    vae = store.vae("vae_mini.safetensors")
    assert checkpoint.vae is not None
    assert vae.size_bytes == checkpoint.vae.size_bytes
    assert store.loaded_bytes == checkpoint.size_bytes + vae.size_bytes


class Device:
    """Opens files, but has no memory for their tensors the first `failures` times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def open(self, path: Path) -> TensorFile:
        if path.name == "b.safetensors" and self.failures > 0:
            self.failures -= 1
            raise torch.OutOfMemoryError("no memory is left")
        return open_tensors(path)


def test_a_model_that_finds_no_memory_is_tried_again_without_the_others(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.models.loadings.open_tensors", Device(failures=1).open)
    store.lora("a.safetensors")
    assert _value(store.lora("b.safetensors")) == 1
    assert store.loaded_bytes == 400


def test_a_model_that_does_not_fit_alone_is_out_of_memory(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.models.loadings.open_tensors", Device(failures=2).open)
    with pytest.raises(OutOfMemory, match=r"b\.safetensors does not fit"):
        store.lora("b.safetensors")


def test_an_embedding_that_is_no_dictionary_is_corrupt(root: Path, store: ModelStore) -> None:
    (root / "embeddings").mkdir()
    torch.save([torch.ones(2)], root / "embeddings" / "list.pt")
    with pytest.raises(ModelCorrupt, match="holds a list"):
        store.embedding("list")


def test_an_embedding_is_found_with_and_without_its_suffix(root: Path, store: ModelStore) -> None:
    (root / "embeddings").mkdir()
    save_file({"clip_l": torch.ones(2, 64)}, root / "embeddings" / "cat.safetensors")
    for name in ("cat", "cat.safetensors"):
        found = store.embedding(name)
        assert found is not None
        assert found["clip_l"].shape == (2, 64)
    assert store.embedding("dog") is None
    assert store.embedding("../loras/a") is None


def test_an_old_embedding_keeps_its_nested_tensors(root: Path, store: ModelStore) -> None:
    (root / "embeddings").mkdir()
    torch.save({"string_to_param": {"*": torch.ones(1, 64)}}, root / "embeddings" / "old.pt")
    found = store.embedding("old")
    assert found is not None
    assert found["string_to_param"]["*"].shape == (1, 64)


def test_a_prompt_can_name_an_embedding_of_the_volume(root: Path, mini_models: Path) -> None:
    for folder in ("checkpoints", "embeddings"):
        (root / folder).mkdir()
    shutil.copy(mini_models / "checkpoints" / "sd1_mini.safetensors", root / "checkpoints")
    save_file({"emb_params": torch.ones(1, 64)}, root / "embeddings" / "cat.safetensors")
    clip = ModelStore(ModelFolders([root]), device=CPU).checkpoint("sd1_mini.safetensors").clip
    assert clip is not None
    assert not torch.equal(clip.encode("embedding:cat")[0], clip.encode("cat")[0])


def test_the_identity_of_a_file_tells_a_new_time_apart(root: Path, store: ModelStore) -> None:
    before = store.identity("loras", "a.safetensors")
    os.utime(root / "loras" / "a.safetensors", ns=(1, 1))
    assert store.identity("loras", "a.safetensors") != before


@pytest.fixture
def on_gpu(mini_models: Path) -> Iterator[ModelStore]:
    """A store of the mini models on a pretended GPU that holds one checkpoint."""
    with pretended_gpu():
        yield ModelStore(ModelFolders([mini_models]), device=torch.device("cuda"), limits=Limits(gpu_bytes=40e6))


def test_a_checkpoint_that_makes_way_waits_in_ram_and_comes_back(on_gpu: ModelStore) -> None:
    first = on_gpu.checkpoint("sd1_mini.safetensors").clip
    on_gpu.checkpoint("sdxl_mini.safetensors")
    tiers = {held.name: held.tiers for held in on_gpu.health().models}
    assert tiers == {"checkpoints/sd1_mini.safetensors": ("ram",), "checkpoints/sdxl_mini.safetensors": ("gpu",)}
    again = on_gpu.checkpoint("sd1_mini.safetensors").clip
    assert first is not None
    assert again is not None
    assert torch.equal(first.encode("a cat")[0], again.encode("a cat")[0])
    assert on_gpu.health().returns == 1


def test_what_is_warmed_while_the_gpu_is_full_waits_in_ram(on_gpu: ModelStore) -> None:
    on_gpu.checkpoint("sd1_mini.safetensors")
    assert on_gpu.warm("checkpoints", "sdxl_mini.safetensors")
    tiers = [held.tiers for held in on_gpu.health().models]
    assert tiers == [("gpu",), ("ram",)]


def test_what_is_warmed_goes_to_the_gpu_where_it_has_room(on_gpu: ModelStore) -> None:
    assert on_gpu.warm("checkpoints", "sd1_mini.safetensors")
    seconds = on_gpu.load_seconds
    on_gpu.checkpoint("sd1_mini.safetensors")
    assert on_gpu.load_seconds == seconds == 0


def test_a_kind_that_no_native_node_loads_is_not_warmed(store: ModelStore) -> None:
    assert not store.warm("gligen", "a.safetensors")


def test_a_store_for_a_gpu_that_is_not_there_yet_loads_its_dtypes_into_memory_of_its_own(mini_models: Path) -> None:
    store = ModelStore(ModelFolders([mini_models]), device=CPU, for_gpu=True)
    store.warm("checkpoints", "sd1_mini.safetensors")
    assert store.checkpoint("sd1_mini.safetensors").model.dtype == torch.float16
    with pretended_gpu():
        store.attach(torch.device("cuda"))
        model = store.checkpoint("sd1_mini.safetensors").model
        assert (str(model.device), model.dtype) == ("cuda", torch.float16)
    assert (store.health().misses, store.health().returns) == (1, 1)


def test_where_no_gpu_comes_what_waited_for_one_is_loaded_anew(mini_models: Path) -> None:
    store = ModelStore(ModelFolders([mini_models]), device=CPU, for_gpu=True)
    store.warm("checkpoints", "sd1_mini.safetensors")
    store.attach(CPU)
    assert store.checkpoint("sd1_mini.safetensors").model.dtype == torch.float32
