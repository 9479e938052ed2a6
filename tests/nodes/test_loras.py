from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from runtime.diffusion.checkpoint import Checkpoint
from runtime.errors import ModelCorrupt, ModelMissing
from runtime.models.folders import ModelFolders
from runtime.models.store import ModelStore

Call = Callable[..., Any]
KOHYA, DIFFUSERS = "sd1_lora_mini.safetensors", "sd1_lora_diffusers_mini.safetensors"
ANOTHERS = {f"lora_unet_conv_in.lora_{part}.weight": torch.ones(5, 5) for part in ("up", "down")}
CHANGED = "middle_block.1.transformer_blocks.0.attn1.to_q.weight"


@pytest.fixture(scope="module")
def store(mini_models: Path) -> ModelStore:
    return ModelStore(ModelFolders([mini_models]), device=torch.device("cpu"))


@pytest.fixture(scope="module")
def sd1(store: ModelStore) -> Checkpoint:
    return store.checkpoint("sd1_mini.safetensors")


@pytest.fixture
def load(call: Call, worker: Any, store: ModelStore, sd1: Checkpoint) -> Call:
    """`load(KOHYA, 0.5, 1.0)`: LoraLoader on the models of `sd1`, or on those that are given."""
    worker.models = store

    def of(name: str, for_model: float, for_clip: float, **models: Any) -> Any:
        given = {"model": sd1.model, "clip": sd1.clip, **models}
        return call("LoraLoader", lora_name=name, strength_model=for_model, strength_clip=for_clip, **given)

    return of


def _unet(model: Any) -> nn.Module:
    """What runs."""
    unet: nn.Module = model.loras.module
    return unet


def test_a_lora_changes_model_and_text_encoder(load: Call, sd1: Checkpoint) -> None:
    model, clip = load(KOHYA, 1.0, 1.0)
    assert sd1.clip is not None
    assert not torch.equal(_unet(model).get_parameter(CHANGED), sd1.model.unet.get_parameter(CHANGED))
    assert not torch.allclose(clip.encode("a cat")[0], sd1.clip.encode("a cat")[0])


def test_what_is_given_stays_as_it_was(load: Call, sd1: Checkpoint) -> None:
    assert sd1.clip is not None
    weight, cond = sd1.model.unet.get_parameter(CHANGED).clone(), sd1.clip.encode("a cat")[0]
    model, clip = load(KOHYA, 1.0, 1.0)
    _unet(model), clip.encode("a cat")
    assert torch.equal(sd1.model.unet.get_parameter(CHANGED), weight)
    assert torch.equal(sd1.clip.encode("a cat")[0], cond)


def test_weights_that_the_lora_leaves_alone_are_shared(load: Call, sd1: Checkpoint, store: ModelStore) -> None:
    model, _ = load(KOHYA, 1.0, 1.0)
    own = {id(weight) for weight in sd1.model.unet.parameters()}
    new = [weight for weight in _unet(model).parameters() if id(weight) not in own]
    named = [name for name in store.lora(KOHYA) if name.startswith("lora_unet_") and name.endswith(".alpha")]
    assert len(new) == len(named)


def test_the_next_job_with_the_same_lora_runs_on_the_weights_that_are_there(load: Call) -> None:
    assert _unet(load(KOHYA, 0.5, 1.0)[0]) is _unet(load(KOHYA, 0.5, 0.0)[0])


@pytest.mark.parametrize(("for_model", "for_clip"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_a_strength_of_zero_hands_its_input_on(load: Call, sd1: Checkpoint, for_model: float, for_clip: float) -> None:
    model, clip = load(KOHYA, for_model, for_clip)
    assert (model is sd1.model, clip is sd1.clip) == (for_model == 0, for_clip == 0)


def test_a_file_is_not_looked_for_where_both_strengths_are_zero(load: Call, sd1: Checkpoint) -> None:
    assert load("absent.safetensors", 0.0, 0.0) == (sd1.model, sd1.clip)
    with pytest.raises(ModelMissing, match="absent"):
        load("absent.safetensors", 0.0, 0.1)


def test_opposite_strengths_on_one_another_cancel(load: Call, sd1: Checkpoint) -> None:
    model, clip = load(KOHYA, 0.7, 0.9)
    model, clip = load(KOHYA, -0.7, -0.9, model=model, clip=clip)
    assert sd1.clip is not None
    torch.testing.assert_close(_unet(model).get_parameter(CHANGED), sd1.model.unet.get_parameter(CHANGED))
    torch.testing.assert_close(clip.encode("a cat")[0], sd1.clip.encode("a cat")[0], rtol=1e-3, atol=1e-3)


def test_a_checkpoint_without_text_encoder_gets_none_back(load: Call) -> None:
    model, clip = load(KOHYA, 1.0, 1.0, clip=None)
    assert clip is None
    assert model.loras is not None


def test_the_model_alone_is_changed_as_with_its_text_encoder(load: Call, call: Call, sd1: Checkpoint) -> None:
    model, _ = load(KOHYA, 0.75, 1.0)
    (alone,) = call("LoraLoaderModelOnly", model=sd1.model, lora_name=KOHYA, strength_model=0.75)
    for name, weight in _unet(model).named_parameters():
        assert torch.equal(_unet(alone).get_parameter(name), weight), name


def test_layers_that_match_nothing_are_warned_of_in_one_line(load: Call, caplog: pytest.LogCaptureFixture) -> None:
    load(DIFFUSERS, 1.0, 1.0)
    assert caplog.messages == [
        f"{DIFFUSERS}: 1 of its layers are in none of the given models and left out: lora_unet_nowhere"
    ]


def test_a_long_list_of_layers_that_match_nothing_is_cut(
    load: Call, sd1: Checkpoint, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    call("LoraLoaderModelOnly", model=sd1.model, lora_name=KOHYA, strength_model=1.0)
    (message,) = caplog.messages
    assert message.startswith(f"{KOHYA}: 18 of its layers are in none")
    assert message.count("lora_te_text_model_encoder_layers_") == 3
    assert message.endswith(", ...")


def test_a_lora_that_matches_warns_of_nothing(load: Call, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(KOHYA, 1.0, 1.0)
    assert caplog.messages == []


@pytest.fixture
def load_file(load: Call, worker: Any, tmp_path: Path) -> Call:
    """`load_file(tensors)`: loads a LoRA file of these tensors."""

    def load_file(tensors: dict[str, torch.Tensor]) -> Any:
        (tmp_path / "loras").mkdir()
        save_file(tensors, tmp_path / "loras" / "wrong.safetensors")
        worker.models = ModelStore(ModelFolders([tmp_path]), device=torch.device("cpu"))
        return load("wrong.safetensors", 1.0, 1.0)

    return load_file


def test_a_fault_names_the_file(load_file: Call) -> None:
    with pytest.raises(ModelCorrupt, match=r"wrong\.safetensors: no LoRA"):
        load_file({"weight": torch.ones(2)})


def test_a_lora_for_another_model_is_left_out_with_a_warning(
    load_file: Call, sd1: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = load_file(ANOTHERS)
    assert _unet(model) is sd1.model.unet
    assert caplog.messages == [
        "wrong.safetensors: 1 of its changes do not fit the model and are left out: lora_unet_conv_in"
    ]
