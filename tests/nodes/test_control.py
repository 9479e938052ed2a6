from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.control import Control, ControlModel, load_control
from runtime.errors import InputRejected

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def net(mini_models: Path) -> ControlModel:
    path = mini_models / "controlnet" / "control_sd1_mini.safetensors"
    return load_control(path, device=torch.device("cpu"), dtype=torch.float32)


def conditioning(count: int = 1, **options: Any) -> list[list[Any]]:
    return [[torch.zeros(1, 77, 64), dict(options)] for _ in range(count)]


def control_of(entry: list[Any]) -> Control:
    control: Control = entry[1]["control"]
    return control


def test_both_sides_share_one_control(call: Call, picture: Callable[..., Tensor], net: ControlModel) -> None:
    given = {"strength": 0.7, "start_percent": 0.1, "end_percent": 0.6, "image": picture(), "control_net": net}
    sides = call("ControlNetApplyAdvanced", positive=conditioning(2), negative=conditioning(), **given)
    controls = [control_of(entry) for side in sides for entry in side]
    assert len(controls) == 3
    assert all(control is controls[0] for control in controls)
    assert (controls[0].strength, controls[0].start, controls[0].end) == (0.7, 0.1, 0.6)
    assert torch.equal(controls[0].picture, picture().movedim(-1, 1))
    assert not any(entry[1]["control_apply_to_uncond"] for side in sides for entry in side)


def test_a_control_is_laid_over_the_one_before_it(
    call: Call, picture: Callable[..., Tensor], net: ControlModel
) -> None:
    given = {"control_net": net, "image": picture(), "strength": 1.0}
    (first,) = call("ControlNetApply", conditioning=conditioning(), **given)
    (second,) = call("ControlNetApply", conditioning=first, **given)
    assert control_of(second[0]).previous is control_of(first[0])
    assert second[0][1]["control_apply_to_uncond"] is True
    assert "control" not in conditioning()[0][1]


def test_no_strength_is_no_control(call: Call, picture: Callable[..., Tensor], net: ControlModel) -> None:
    before = conditioning()
    given = {"control_net": net, "image": picture(), "strength": 0.0}
    assert call("ControlNetApply", conditioning=before, **given)[0] is before
    more = {"start_percent": 0.0, "end_percent": 1.0}
    sides = call("ControlNetApplyAdvanced", positive=before, negative=before, **given, **more)
    assert all(side is before for side in sides)


def test_a_picture_with_an_alpha_channel_is_refused(
    call: Call, picture: Callable[..., Tensor], net: ControlModel
) -> None:
    given = {"control_net": net, "image": picture(channels=4), "strength": 1.0}
    with pytest.raises(InputRejected, match="takes pictures of 3 channels, but image has 4"):
        call("ControlNetApply", conditioning=conditioning(), **given)


@pytest.mark.parametrize(("kind", "kinds"), [("auto", ()), ("openpose", (0,)), ("depth", (1,)), ("repaint", (7,))])
def test_a_kind_of_a_union_is_its_number(call: Call, net: ControlModel, kind: str, kinds: tuple[int, ...]) -> None:
    (told,) = call("SetUnionControlNetType", control_net=net, type=kind)
    assert told.kinds == kinds
    assert told.network is net.network
    assert net.kinds == ()
