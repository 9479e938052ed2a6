from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from runtime.nodes.pictures import Pictures, pictures_in
from runtime.upscaling.upscaler import Upscaler

Call = Callable[..., Any]

IMAGE_NODES: list[tuple[str, dict[str, Any]]] = [
    ("ImageScale", {"upscale_method": "area", "width": 5, "height": 0, "crop": "disabled"}),
    ("ImageScale", {"upscale_method": "area", "width": 0, "height": 7, "crop": "disabled"}),
    ("ImageScale", {"upscale_method": "area", "width": 0, "height": 0, "crop": "disabled"}),
    ("ImageScaleBy", {"upscale_method": "bilinear", "scale_by": 2.7}),
    ("ImageScaleToTotalPixels", {"upscale_method": "bilinear", "megapixels": 0.01}),
    ("ImageScaleToMaxDimension", {"upscale_method": "area", "largest_size": 13}),
    ("ImagePadForOutpaint", {"left": 8, "top": 16, "right": 24, "bottom": 32, "feathering": 0}),
    ("RepeatImageBatch", {"amount": 3}),
    (
        "ImageUpscaleWithModel",
        {"upscale_model": Upscaler(nn.Upsample(scale_factor=4), scale=4, device=torch.device("cpu"))},
    ),
]
LATENT_NODES: list[tuple[str, dict[str, Any]]] = [
    ("LatentUpscale", {"upscale_method": "area", "width": 128, "height": 0, "crop": "disabled"}),
    ("LatentUpscaleBy", {"upscale_method": "bilinear", "scale_by": 1.7}),
    ("RepeatLatentBatch", {"amount": 3}),
]
SOURCES: list[tuple[str, dict[str, Any]]] = [
    ("EmptyImage", {"width": 5, "height": 7, "batch_size": 2}),
    ("EmptyLatentImage", {"width": 64, "height": 72, "batch_size": 2}),
    ("SolidMask", {"value": 1.0, "width": 5, "height": 7}),
]


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (torch.zeros(2, 5, 6, 3), Pictures(2, 5, 6)),
        (torch.zeros(2, 5, 6), Pictures(2, 5, 6)),
        ({"samples": torch.zeros(2, 4, 5, 6)}, Pictures(2, 40, 48)),
        ({"samples": torch.zeros(2, 4, 9, 5, 6)}, Pictures(2, 40, 48)),
        (torch.zeros(2, 4, 5, 6), None),
        (torch.zeros(9), None),
        ({"samples": torch.zeros(9)}, None),
        ({}, None),
        ("text", None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_pictures_a_value_holds(value: Any, held: Pictures | None) -> None:
    assert pictures_in(value) == held


def _check(name: str, classes: dict[str, type], call: Call, inputs: dict[str, Any]) -> None:
    said = classes[name].PICTURES(**inputs)  # type: ignore[attr-defined]  # what this is the test of
    assert pictures_in(call(name, **inputs)[0]) == said


@pytest.mark.parametrize(("name", "inputs"), SOURCES, ids=str)
def test_a_source_says_how_large_its_result_is(name: str, inputs: dict[str, Any], classes: Any, call: Call) -> None:
    _check(name, classes, call, inputs)


@pytest.mark.parametrize(("name", "inputs"), IMAGE_NODES)
def test_a_node_that_grows_pictures_says_how_large_they_become(
    name: str, inputs: dict[str, Any], classes: Any, call: Call, picture: Any
) -> None:
    _check(name, classes, call, {"image": picture(6, 8, batch=2), **inputs})


@pytest.mark.parametrize(("name", "inputs"), LATENT_NODES, ids=str)
def test_a_node_that_grows_latents_says_how_large_they_become(
    name: str, inputs: dict[str, Any], classes: Any, call: Call, latent: Any
) -> None:
    _check(name, classes, call, {"samples": latent(6, 8, batch=2), **inputs})


def test_every_class_that_says_so_is_tried_here(classes: Any) -> None:
    tried = {name for name, _ in [*SOURCES, *IMAGE_NODES, *LATENT_NODES]}
    assert {name for name, cls in classes.items() if hasattr(cls, "PICTURES")} == tried
