from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


def test_finding_the_node_classes_loads_no_model_code() -> None:
    code = (
        "import sys; from runtime.nodes import node_classes; node_classes();"
        "print([name for name in sys.modules if name.startswith(('runtime.diffusion', 'PIL', 'torchsde', 'scipy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


LATENT_NODES: dict[str, dict[str, Any]] = {
    "LatentUpscale": {"upscale_method": "bislerp", "width": 128, "height": 64, "crop": "center"},
    "LatentUpscaleBy": {"upscale_method": "bicubic", "scale_by": 2.0},
    "LatentFromBatch": {"batch_index": 0, "length": 1},
    "RepeatLatentBatch": {"amount": 2},
    "LatentBatchSeedBehavior": {"seed_behavior": "fixed"},
    "LatentFlip": {"flip_method": "x-axis: vertically"},
    "LatentRotate": {"rotation": "90 degrees"},
    "LatentMultiply": {"multiplier": 3.0},
}
IMAGE_NODES: dict[str, dict[str, Any]] = {
    "ImageInvert": {},
    "ImageScale": {"upscale_method": "lanczos", "width": 5, "height": 5, "crop": "center"},
    "ImageBlur": {"blur_radius": 2, "sigma": 1.0},
    "ImageSharpen": {"sharpen_radius": 2, "sigma": 1.0, "alpha": 1.0},
    "ImageQuantize": {"colors": 4, "dither": "bayer-4"},
    "ImagePadForOutpaint": {"left": 8, "top": 0, "right": 0, "bottom": 8, "feathering": 2},
    "ImageColorToMask": {"color": 0},
}
MASK_NODES: dict[str, dict[str, Any]] = {
    "InvertMask": {},
    "GrowMask": {"expand": 2, "tapered_corners": True},
    "FeatherMask": {"left": 2, "top": 2, "right": 2, "bottom": 2},
    "ThresholdMask": {"value": 0.5},
}


@pytest.mark.parametrize("name", LATENT_NODES)
def test_a_node_leaves_the_latent_it_is_given_as_it_was(
    name: str, call: Callable[..., Any], latent: Callable[..., dict[str, Any]]
) -> None:
    given = latent(noise_mask=torch.ones(1, 1, 8, 8), batch_index=[3])
    before = {"samples": given["samples"].clone(), "noise_mask": torch.ones(1, 1, 8, 8), "batch_index": [3]}
    call(name, samples=given, **LATENT_NODES[name])
    assert set(given) == set(before)
    assert given["batch_index"] == [3]
    assert torch.equal(given["samples"], before["samples"])


@pytest.mark.parametrize("name", IMAGE_NODES)
def test_a_node_leaves_the_image_it_is_given_as_it_was(
    name: str, call: Callable[..., Any], picture: Callable[..., Tensor]
) -> None:
    given = picture()
    call(name, image=given, **IMAGE_NODES[name])
    assert torch.equal(given, picture())


@pytest.mark.parametrize("name", MASK_NODES)
def test_a_node_leaves_the_mask_it_is_given_as_it_was(
    name: str, call: Callable[..., Any], picture: Callable[..., Tensor]
) -> None:
    given = picture()[..., 0]
    before = given.clone()
    call(name, mask=given, **MASK_NODES[name])
    assert torch.equal(given, before)
