from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from runtime.diffusion.checkpoint import load_checkpoint
from runtime.diffusion.control import Control, ControlModel, Controls, load_control
from runtime.diffusion.control_names import plain_names
from runtime.diffusion.control_net import ControlNet, control_spec
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.shape_tree import ShapeTree
from runtime.diffusion.unet import Residuals
from runtime.errors import ModelCorrupt

CPU = torch.device("cpu")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def model(mini_models: Path) -> DiffusionModel:
    return load_checkpoint(mini_models / "checkpoints" / "sd1_mini.safetensors", device=CPU).model


@pytest.fixture(scope="module")
def net(mini_models: Path) -> ControlModel:
    return load_control(mini_models / "controlnet" / "control_sd1_mini.safetensors", device=CPU, dtype=torch.float32)


def residuals(model: DiffusionModel, control: Control, *, sigma: float = 5.0, rows: int = 2, shares: int = 1) -> Any:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).repeat(rows, 1, 1, 1)
    context = torch.randn(1, 77, 64, generator=torch.Generator().manual_seed(2)).repeat(rows, 1, 1)
    with torch.inference_mode():
        return Controls(model).residuals(control, x, sigma, context, None, shares=shares)


def picture(count: int = 1, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def test_every_skip_and_the_middle_get_something(model: DiffusionModel, net: ControlModel) -> None:
    made = residuals(model, Control(model=net, picture=picture()))
    assert len(made.skips) == len(model.unet.input_blocks)
    assert all(part.abs().max() > 0 for part in (*made.skips, made.middle))


def test_the_strength_multiplies_it(model: DiffusionModel, net: ControlModel) -> None:
    one = residuals(model, Control(model=net, picture=picture()))
    half = residuals(model, Control(model=net, picture=picture(), strength=0.5))
    assert torch.allclose(half.middle, one.middle * 0.5)
    assert torch.allclose(half.skips[3], one.skips[3] * 0.5)


def test_a_control_is_at_work_between_its_shares_of_the_way_alone(model: DiffusionModel, net: ControlModel) -> None:
    late = Control(model=net, picture=picture(), start=0.5)
    middle = model.prediction.percent_to_sigma(0.5)
    assert residuals(model, late, sigma=middle + 0.1) is None
    assert residuals(model, late, sigma=middle - 0.1) is not None


def test_controls_over_one_another_add_up(model: DiffusionModel, net: ControlModel) -> None:
    first = Control(model=net, picture=picture())
    second = Control(model=net, picture=picture().flip(-1), strength=0.3, previous=first)
    both, one = residuals(model, second), residuals(model, first)
    other = residuals(model, Control(model=net, picture=picture().flip(-1), strength=0.3))
    assert torch.allclose(both.middle, one.middle + other.middle, atol=1e-5)


def test_one_of_two_that_is_not_at_work_leaves_the_other(model: DiffusionModel, net: ControlModel) -> None:
    early = Control(model=net, picture=picture(), end=0.01)
    both = residuals(model, Control(model=net, picture=picture(), previous=early), sigma=1.0)
    assert torch.equal(both.middle, residuals(model, Control(model=net, picture=picture()), sigma=1.0).middle)


def test_pictures_go_to_the_latents_in_turn_in_every_share(model: DiffusionModel, net: ControlModel) -> None:
    made = residuals(model, Control(model=net, picture=picture(2)), rows=6, shares=2)
    assert torch.allclose(made.middle[0], made.middle[2], atol=1e-5)
    assert torch.allclose(made.middle[0], made.middle[3], atol=1e-5)
    assert not torch.allclose(made.middle[0], made.middle[1], atol=1e-3)


def test_a_picture_of_another_size_is_cut_and_scaled(model: DiffusionModel, net: ControlModel) -> None:
    tall = torch.cat((torch.zeros(1, 3, 32, 64), picture(), torch.zeros(1, 3, 32, 64)), dim=2)
    made = residuals(model, Control(model=net, picture=tall))
    assert torch.equal(made.middle, residuals(model, Control(model=net, picture=picture())).middle)


def test_a_shuffled_pictures_control_is_the_same_everywhere(
    model: DiffusionModel, net: ControlModel, mini_models: Path
) -> None:
    path = mini_models / "controlnet" / "control_sd1_mini_shuffle.safetensors"
    pooling = load_control(path, device=CPU, dtype=torch.float32)
    assert (net.pools, pooling.pools) == (False, True)
    made = residuals(model, Control(model=pooling, picture=picture()))
    assert torch.allclose(made.skips[0].std(dim=(2, 3)), torch.zeros(2, 32), atol=1e-6)


def test_a_control_net_of_another_family_is_refused(model: DiffusionModel, mini_models: Path) -> None:
    path = mini_models / "controlnet" / "control_sdxl_mini.safetensors"
    other = load_control(path, device=CPU, dtype=torch.float32)
    with pytest.raises(ValueError, match="is one for sdxl, but the model is of the family sd1"):
        residuals(model, Control(model=other, picture=picture()))


def test_a_copy_on_a_device_adds_the_same(model: DiffusionModel, net: ControlModel) -> None:
    copy = net.on(CPU)
    assert copy.size_bytes == net.size_bytes > 0
    made = residuals(model, Control(model=copy, picture=picture()))
    assert torch.equal(made.middle, residuals(model, Control(model=net, picture=picture())).middle)


def test_diffusers_names_give_the_same_network(
    model: DiffusionModel, net: ControlModel, mini_models: Path, tmp_path: Path
) -> None:
    plain = load_file(mini_models / "controlnet" / "control_sd1_mini.safetensors")
    path = tmp_path / "diffusers.safetensors"
    save_file({diffusers_name(name.removeprefix("control_model.")): tensor for name, tensor in plain.items()}, path)
    other = load_control(path, device=CPU, dtype=torch.float32)
    made = residuals(model, Control(model=other, picture=picture()))
    assert torch.equal(made.middle, residuals(model, Control(model=net, picture=picture())).middle)


def diffusers_name(plain: str) -> str:
    """What diffusers calls a tensor of a ControlNet for SD 1.x, by where it stands."""
    block, _, rest = plain.partition(".")
    if block == "input_blocks":
        number, place, rest = rest.split(".", 2)
        level, within = divmod(int(number) - 1, 3)
        if number == "0":
            return f"conv_in.{rest}"
        if within == 2:
            return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
        kind = "resnets" if place == "0" else "attentions"
        return f"down_blocks.{level}.{kind}.{within}.{inside(rest)}"
    if block == "middle_block":
        place, rest = rest.split(".", 1)
        return f"mid_block.{('resnets.0', 'attentions.0', 'resnets.1')[int(place)]}.{inside(rest)}"
    if block == "input_hint_block":
        number, leaf = rest.split(".")
        middle = f"blocks.{int(number) // 2 - 1}"
        return f"controlnet_cond_embedding.{ {'0': 'conv_in', '14': 'conv_out'}.get(number, middle) }.{leaf}"
    if block == "zero_convs":
        return f"controlnet_down_blocks.{rest.replace('.0.', '.')}"
    if block == "middle_block_out":
        return f"controlnet_mid_block.{rest.removeprefix('0.')}"
    return plain.replace("time_embed.0", "time_embedding.linear_1").replace("time_embed.2", "time_embedding.linear_2")


def inside(rest: str) -> str:
    for ours, theirs in (
        ("in_layers.0", "norm1"),
        ("in_layers.2", "conv1"),
        ("emb_layers.1", "time_emb_proj"),
        ("out_layers.0", "norm2"),
        ("out_layers.3", "conv2"),
        ("skip_connection", "conv_shortcut"),
    ):
        if rest.startswith(f"{ours}."):
            return theirs + rest[len(ours) :]
    return rest


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ({"lora_controlnet": torch.zeros(0)}, "a Control-LoRA"),
        ({"difference": torch.zeros(1)}, "its difference from a checkpoint"),
    ],
)
def test_what_needs_its_checkpoint_is_refused_by_name(tmp_path: Path, marks: dict[str, Tensor], reason: str) -> None:
    path = tmp_path / "net.safetensors"
    save_file(marks, path)
    with pytest.raises(ModelCorrupt, match=rf"net\.safetensors: a .*{reason.split()[-1]}"):
        load_control(path, device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def union(draw: Callable[[str, list[int]], Any]) -> ControlNet:
    shapes = json.loads((HERE / "union_control_shapes.json").read_text())
    tensors = {name: torch.from_numpy(draw(name, shape)).float() for name, shape in shapes.items()}
    names = plain_names(tensors)
    spec = control_spec(ShapeTree({name: tuple(tensors[stored].shape) for name, stored in names.items()}))
    return ControlNet.from_tensors(spec, tensors)


@pytest.fixture(scope="module")
def draw() -> Callable[[str, list[int]], Any]:
    """The parity models' draw of a tensor by its name."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("mini", HERE.parent / "parity" / "make_checkpoints.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn: Callable[[str, list[int]], Any] = module.draw
    return drawn


def of_union(union: ControlNet, kinds: list[int]) -> Residuals:
    generator = torch.Generator().manual_seed(0)
    x, hint = torch.randn(2, 4, 4, 6, generator=generator), torch.rand(1, 3, 32, 48, generator=generator)
    context = torch.randn(2, 7, 64, generator=generator)
    y = torch.randn(2, 96, generator=generator)
    with torch.inference_mode():
        made: Residuals = union(x, hint, torch.tensor([500.0, 20.0]), context, y, kinds=kinds)
    return made


@pytest.mark.parametrize(("name", "kinds"), [("none", []), ("depth", [1]), ("segment", [5])])
def test_a_union_adds_what_comfyuis_adds(union: ControlNet, name: str, kinds: list[int]) -> None:
    made = of_union(union, kinds)
    flat = torch.cat([part.flatten(1) for part in (*made.skips, made.middle) if part is not None], dim=1)
    with np.load(HERE / "union_control.npz") as recorded:
        expected = torch.from_numpy(recorded[name])
    assert (flat[:, ::97] - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_a_kind_that_a_union_does_not_know_is_refused(union: ControlNet) -> None:
    with pytest.raises(ValueError, match="knows 6 kinds of control, but number 7 is asked for"):
        of_union(union, [7])
