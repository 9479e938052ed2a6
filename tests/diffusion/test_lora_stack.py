"""LoRAs on a module: whose weights change, whose are shared, and when."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runtime.diffusion.applied_loras import APPLIED
from runtime.diffusion.checkpoint import Checkpoint, load_checkpoint
from runtime.diffusion.lora import Lora
from runtime.diffusion.lora_stack import LoraStack
from runtime.diffusion.weight_change import LowRank

UP = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])  # (3, r)
DOWN = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]])  # (r, 4)
LAYERS = {"layer": "first.weight"}


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3, bias=False)
        self.second = nn.Linear(3, 3)


def _lora(*, scale: float = 1.0, alpha: float = 2.0) -> Lora:
    factors = {"layer.lora_up.weight": UP * scale, "layer.lora_down.weight": DOWN, "layer.alpha": torch.tensor(alpha)}
    return Lora(factors)


def _with(two: Two, *, layers: Mapping[str, str] = LAYERS, strength: float = 1.0, lora: Lora | None = None) -> Two:
    return LoraStack(two).with_lora(lora or _lora(), layers, strength).module


@pytest.mark.parametrize("strength", [0.5, -1.0, 2.0])
def test_the_strength_scales_the_change(strength: float) -> None:
    two = Two()
    torch.testing.assert_close(_with(two, strength=strength).first.weight - two.first.weight, UP @ DOWN * strength)


def test_alpha_scales_the_change() -> None:
    two = Two()
    changed = _with(two, lora=_lora(alpha=1.0))
    torch.testing.assert_close(changed.first.weight - two.first.weight, UP @ DOWN / 2)


def test_the_base_keeps_its_weights_and_shares_those_that_do_not_change() -> None:
    two = Two()
    before = two.first.weight.clone()
    changed = _with(two)
    assert torch.equal(two.first.weight, before)
    assert changed.second.weight is two.second.weight
    assert changed.first.weight is not two.first.weight


@pytest.mark.parametrize("layers", [{}, {"elsewhere": "first.weight"}], ids=["no layer", "another layer"])
def test_where_nothing_changes_the_base_itself_runs(layers: dict[str, str]) -> None:
    two = Two()
    assert _with(two, layers=layers) is two


def test_the_changed_module_is_made_once() -> None:
    stack = LoraStack(Two()).with_lora(_lora(), LAYERS, 1.0)
    assert stack.module is stack.module


def test_stacked_changes_add_up_and_leave_the_stack_below_alone() -> None:
    two = Two()
    below = LoraStack(two).with_lora(_lora(), LAYERS, 1.0)
    above = below.with_lora(_lora(scale=3.0), LAYERS, 0.5)
    torch.testing.assert_close(above.module.first.weight - two.first.weight, UP @ DOWN * 2.5)
    torch.testing.assert_close(below.module.first.weight - two.first.weight, UP @ DOWN)
    assert above.module.second.weight is two.second.weight


def test_a_stack_is_rounded_once_to_the_dtype_of_its_weights() -> None:
    two = Two().half()
    with torch.no_grad():
        two.first.weight.fill_(1.0)
    small = 2.0**-12  # a quarter of the step that follows 1 in float16
    stack = LoraStack(two)
    for _ in range(4):
        stack = stack.with_lora(_lora(scale=small), LAYERS, 1.0)
    assert stack.module.first.weight.dtype == torch.float16
    assert stack.module.first.weight[0].tolist() == [1 + 4 * small] * 4


def test_changed_weights_can_be_rounded_further() -> None:
    two = Two()
    changed = LoraStack(two, precision=torch.float16).with_lora(_lora(), LAYERS, 1.0).module
    assert changed.first.weight.dtype == torch.float32
    assert torch.equal(changed.first.weight, (two.first.weight + UP @ DOWN).half().float())


@pytest.mark.parametrize("parameter", ["second.weight", "second.bias"])
def test_a_change_that_does_not_fit_is_left_out_and_named(parameter: str, caplog: pytest.LogCaptureFixture) -> None:
    two = Two()
    assert _with(two, layers={"layer": parameter}) is two
    assert caplog.messages == ["a LoRA: 1 of its changes do not fit the model and are left out: layer"]


def test_a_difference_of_a_bias_is_added_to_it() -> None:
    two, difference = Two(), torch.tensor([1.0, 2.0, 3.0])
    changed = _with(two, lora=Lora({"layer.diff_b": difference}), layers={"layer": "second.weight"}, strength=0.5)
    torch.testing.assert_close(changed.second.bias - two.second.bias, difference / 2)
    assert changed.second.weight is two.second.weight


def test_a_difference_of_a_bias_that_a_layer_lacks_is_left_out() -> None:
    two = Two()
    assert _with(two, lora=Lora({"layer.diff_b": torch.ones(3)})) is two


@pytest.fixture(scope="module")
def sdxl(mini_models: Path) -> Checkpoint:
    return load_checkpoint(mini_models / "checkpoints" / "sdxl_mini.safetensors", device=torch.device("cpu"))


def _factors(name: str, weight: Tensor) -> dict[str, Tensor]:
    return {
        f"{name}.lora_up.weight": torch.ones(len(weight), 1),
        f"{name}.lora_down.weight": torch.ones(1, weight.shape[1]),
    }


def test_a_model_with_a_lora_answers_otherwise_and_the_first_as_before(sdxl: Checkpoint) -> None:
    parameter = "middle_block.1.transformer_blocks.0.attn1.to_q.weight"
    lora = Lora(_factors("lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q", _weight(sdxl, parameter)))
    x, sigma, context = torch.ones(1, 4, 8, 8), torch.tensor([3.0]), torch.ones(1, 77, 192)
    y = sdxl.model.adm(pooled=None)
    before = sdxl.model.denoise(x, sigma, context, y=y)
    changed = sdxl.model.with_lora(lora, 0.5).denoise(x, sigma, context, y=y)
    assert not torch.allclose(before, changed)
    assert torch.equal(before, sdxl.model.denoise(x, sigma, context, y=y))


def _weight(checkpoint: Checkpoint, parameter: str) -> Tensor:
    return checkpoint.model.unet.get_parameter(parameter)


@pytest.mark.parametrize("encoder", ["lora_te1", "lora_te2"])
def test_each_text_encoder_has_its_own_changes(sdxl: Checkpoint, encoder: str) -> None:
    clip = sdxl.clip
    assert clip is not None
    width = 64 if encoder == "lora_te1" else 128
    name = f"{encoder}_text_model_encoder_layers_0_self_attn_v_proj"
    changed = clip.with_lora(Lora(_factors(name, torch.empty(width, width))), 1.0).encode("a cat")[0]
    before = clip.encode("a cat")[0]
    is_other = (changed != before).any(dim=1)[0]  # by channel: 64 of CLIP-L, then 128 of CLIP-G
    assert bool(is_other[:64].any()) is (encoder == "lora_te1")
    assert bool(is_other[64:].any()) is (encoder == "lora_te2")


def test_the_same_loras_on_the_same_base_are_not_applied_anew() -> None:
    two, lora = Two(), _lora()
    changed = _with(two, lora=lora)
    assert _with(two, lora=Lora(dict(lora_tensors(lora)))) is changed


def lora_tensors(lora: Lora) -> dict[str, Tensor]:
    """The very tensors that a LoRA was read from, as the models' cache hands them out again."""
    delta = lora.deltas["layer"]
    assert isinstance(delta, LowRank)
    alpha = torch.tensor(delta.alpha)
    return {"layer.lora_up.weight": delta.up, "layer.lora_down.weight": delta.down, "layer.alpha": alpha}


@pytest.mark.parametrize("other", ["strength", "factors", "alpha", "base"])
def test_another_lora_strength_or_base_is_another_module(other: str) -> None:
    two, lora = Two(), _lora()
    changed = _with(two, lora=lora)
    another = {
        "strength": lambda: _with(two, lora=lora, strength=0.5),
        "factors": lambda: _with(two, lora=_lora(scale=2.0)),
        "alpha": lambda: _with(two, lora=Lora(lora_tensors(lora) | {"layer.alpha": torch.tensor(1.0)})),
        "base": lambda: _with(Two(), lora=lora),
    }[other]()
    assert another is not changed
    assert not torch.equal(another.first.weight, changed.first.weight)


def test_what_is_kept_is_counted_by_the_weights_of_its_own_and_goes_when_told() -> None:
    APPLIED.let_go()
    two, lora = Two(), _lora()
    changed = _with(two, lora=lora)
    assert APPLIED.size_bytes(torch.device("cpu")) == changed.first.weight.nbytes
    APPLIED.let_go()
    assert APPLIED.size_bytes(torch.device("cpu")) == 0
    assert _with(two, lora=lora) is not changed


def test_what_is_kept_goes_with_its_base() -> None:
    APPLIED.let_go()
    _with(Two(), lora=_lora())
    gc.collect()
    assert APPLIED.size_bytes(torch.device("cpu")) == 0
