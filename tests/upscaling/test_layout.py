from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.errors import ModelCorrupt
from runtime.upscaling.layout import CompactSpec, EsrganSpec, read_layout

SHAPES = json.loads((Path(__file__).parents[1] / "parity" / "shapes.json").read_text())


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {tensor: tuple(shape) for tensor, shape in SHAPES[name].items()}


@pytest.mark.parametrize(
    ("name", "scale", "shuffle", "has_skips"),
    [
        ("esrgan_old_mini", 4, 1, False),
        ("bsrgan_x2_mini", 2, 1, False),
        ("realesrgan_x2_mini", 2, 2, False),
        ("esrgan_plus_1x_mini", 1, 1, True),
    ],
)
def test_an_esrgan_is_known_by_each_naming(name: str, scale: int, shuffle: int, has_skips: bool) -> None:
    spec, names = read_layout(shapes(name))
    assert isinstance(spec, EsrganSpec)
    assert (spec.scale, spec.shuffle, spec.has_skips) == (scale, shuffle, has_skips)
    assert (spec.channels, spec.growth, spec.blocks) == (16, 32, 2)
    assert sorted(names.values()) == sorted(shapes(name))


def test_a_compact_model_is_known() -> None:
    spec, names = read_layout(shapes("compact_x4_mini"))
    assert spec == CompactSpec(channels=16, convolutions=2, scale=4)
    assert names == {name: name for name in shapes("compact_x4_mini")}


@pytest.mark.parametrize("prefix", ["module.", "netG."])
def test_what_a_trainer_left_before_the_names_is_passed_over(prefix: str) -> None:
    plain = shapes("bsrgan_x2_mini")
    spec, names = read_layout({prefix + name: shape for name, shape in plain.items()})
    assert spec == read_layout(plain)[0]
    assert names["conv_up1.weight"] == prefix + "upconv1.weight"


def test_another_architecture_is_refused_with_what_it_looks_like() -> None:
    with pytest.raises(ModelCorrupt, match=r"expected ESRGAN.*layers\.0\.residual_group"):
        read_layout({"layers.0.residual_group.blocks.0.norm1.weight": (60,)})


def test_a_file_of_nothing_is_refused() -> None:
    with pytest.raises(ModelCorrupt, match="0 tensors are none"):
        read_layout({})


def test_a_model_of_grey_pictures_is_refused() -> None:
    grey = shapes("esrgan_old_mini") | {"model.0.weight": (16, 1, 3, 3), "model.10.weight": (1, 16, 3, 3)}
    with pytest.raises(ModelCorrupt, match="from 1 to 1 channels"):
        read_layout(grey)


def test_a_model_without_its_last_layers_is_refused_by_name() -> None:
    cut = {name: shape for name, shape in shapes("realesrgan_x2_mini").items() if not name.startswith("conv_last")}
    with pytest.raises(ModelCorrupt, match=r"there is no tensor conv_last\.weight"):
        read_layout(cut)


def test_a_model_that_makes_pictures_smaller_is_refused() -> None:
    without = {name: shape for name, shape in shapes("realesrgan_x2_mini").items() if not name.startswith("conv_up")}
    with pytest.raises(ModelCorrupt, match="divides a picture's sides by 2 and doubles them 0 times"):
        read_layout(without)
