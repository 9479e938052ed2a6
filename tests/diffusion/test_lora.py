from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runtime.diffusion.checkpoint import Checkpoint, load_checkpoint
from runtime.diffusion.lora import Lora
from runtime.errors import ModelCorrupt

UP = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])  # (3, r)
DOWN = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]])  # (r, 4)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3, bias=False)
        self.second = nn.Linear(3, 3)


def _lora(prefix: str = "layer", **more: Tensor) -> dict[str, Tensor]:
    tensors = {f"{prefix}.lora_up.weight": UP, f"{prefix}.lora_down.weight": DOWN}
    return tensors | {f"{prefix}.{name}": tensor for name, tensor in more.items()}


def _change(tensors: dict[str, Tensor], strength: float = 1.0) -> Tensor:
    """What a LoRA adds to the first layer."""
    two = Two()
    return Lora(tensors).applied(two, {"layer": "first.weight"}, strength).first.weight - two.first.weight


@pytest.mark.parametrize(
    ("up", "down"),
    [
        (".lora_up.weight", ".lora_down.weight"),
        (".lora_B.weight", ".lora_A.weight"),
        (".lora_B.default.weight", ".lora_A.default.weight"),
        (".lora.up.weight", ".lora.down.weight"),
        ("_lora.up.weight", "_lora.down.weight"),
        (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    ],
)
def test_the_two_factors_are_multiplied_whatever_they_are_called(up: str, down: str) -> None:
    torch.testing.assert_close(_change({f"layer{up}": UP, f"layer{down}": DOWN}), UP @ DOWN)


@pytest.mark.parametrize("strength", [0.5, -1.0, 2.0])
def test_the_strength_scales_the_change(strength: float) -> None:
    torch.testing.assert_close(_change(_lora(), strength), UP @ DOWN * strength)


def test_alpha_is_divided_by_the_rank() -> None:
    torch.testing.assert_close(_change(_lora(alpha=torch.tensor(1.0))), UP @ DOWN / 2)


def test_factors_in_half_precision_change_a_weight_in_full() -> None:
    change = _change({name: tensor.half() for name, tensor in _lora().items()})
    assert change.dtype == torch.float32
    torch.testing.assert_close(change, UP @ DOWN)


def test_the_model_keeps_its_weights_and_shares_those_that_do_not_change() -> None:
    two = Two()
    before = two.first.weight.clone()
    changed = Lora(_lora()).applied(two, {"layer": "first.weight"}, 1.0)
    assert torch.equal(two.first.weight, before)
    assert changed.second.weight is two.second.weight
    assert changed.first.weight is not two.first.weight


def test_changes_of_layers_that_the_model_has_not_are_left_out() -> None:
    two = Two()
    changed = Lora(_lora("elsewhere")).applied(two, {"layer": "first.weight"}, 1.0)
    assert torch.equal(changed.first.weight, two.first.weight)


def test_changed_weights_can_be_rounded() -> None:
    two = Two()
    changed = Lora(_lora()).applied(two, {"layer": "first.weight"}, 1.0, precision=torch.float16)
    expected = (two.first.weight + UP @ DOWN).half().float()
    assert torch.equal(changed.first.weight, expected)


def test_a_convolution_is_changed_by_its_flattened_factors() -> None:
    conv = nn.Conv2d(4, 3, 3)
    up, down = torch.randn(3, 2, 1, 1), torch.randn(2, 4, 3, 3)
    lora = Lora({"layer.lora_up.weight": up, "layer.lora_down.weight": down})
    changed = lora.applied(conv, {"layer": "weight"}, 1.0)
    expected = conv.weight + torch.einsum("or,rihw->oihw", up[:, :, 0, 0], down)
    torch.testing.assert_close(changed.weight, expected)


def test_a_kernel_may_stand_between_the_factors_of_a_convolution() -> None:
    conv = nn.Conv2d(4, 3, 3)
    up, mid, down = torch.randn(3, 2, 1, 1), torch.randn(2, 2, 3, 3), torch.randn(2, 4, 1, 1)
    lora = Lora({"layer.lora_up.weight": up, "layer.lora_down.weight": down, "layer.lora_mid.weight": mid})
    changed = lora.applied(conv, {"layer": "weight"}, 1.0)
    expected = conv.weight + torch.einsum("or,rshw,si->oihw", up[:, :, 0, 0], mid, down[:, :, 0, 0])
    torch.testing.assert_close(changed.weight, expected)


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        pytest.param({"weight": UP}, "no LoRA: none of its 1 tensors", id="no lora"),
        pytest.param({"a.lora_up.weight": UP}, r"no tensor a\.lora_down\.weight", id="one factor"),
        pytest.param({**_lora(), "layer.dora_scale": UP}, "DoRA", id="dora"),
        pytest.param({"layer.hada_w1_a": UP}, "LoHa", id="loha"),
        pytest.param({"layer.lokr_w1": UP}, "LoKr", id="lokr"),
    ],
)
def test_what_is_no_lora_of_two_factors_is_refused(tensors: dict[str, Tensor], fault: str) -> None:
    with pytest.raises(ModelCorrupt, match=fault):
        Lora(tensors)


def test_a_change_that_does_not_fit_is_named_with_its_sizes() -> None:
    with pytest.raises(ModelCorrupt, match=r"layer layer is \[3, 2\] times \[2, 4\], expected what gives \[3, 3\]"):
        Lora(_lora()).applied(Two(), {"layer": "second.weight"}, 1.0)


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
