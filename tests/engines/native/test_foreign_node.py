"""A node class written for ComfyUI that needs only torch works unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.engines.native.registry import load_node_folder
from runtime.nodes import node_classes

SOURCE = '''
import torch


class AnyType(str):
    def __ne__(self, other):
        return False


any_type = AnyType("*")


class ImageMixer:
    """Mix two images; the second is only computed when it counts."""

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {
                "image1": ("IMAGE", {"lazy": True}),
                "image2": ("IMAGE", {"lazy": True}),
                "ratio": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01, "display": "slider"}),
                "mode": (["mix", "add"],),
            },
            "optional": {"note": (any_type,)},
            "hidden": {"unique_id": "UNIQUE_ID", "prompt": "PROMPT"},
        }

    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "report")
    FUNCTION = "mix"
    CATEGORY = "image/mixers"

    @classmethod
    def VALIDATE_INPUTS(s, ratio):
        return True if ratio != 0.123 else "ratio 0.123 brings bad luck"

    def check_lazy_status(self, image1, image2, ratio, mode, note=None, unique_id=None, prompt=None):
        needed = []
        if image1 is None and (ratio < 1.0 or mode == "add"):
            needed.append("image1")
        if image2 is None and (ratio > 0.0 or mode == "add"):
            needed.append("image2")
        return needed

    def mix(self, image1, image2, ratio, mode, note=None, unique_id=None, prompt=None):
        if mode == "add":
            out = torch.clamp(image1 + image2 * ratio, 0, 1)
        elif ratio == 0.0:
            out = image1
        elif ratio == 1.0:
            out = image2
        else:
            out = image1 * (1 - ratio) + image2 * ratio
        return (out, "%s %s %s" % (unique_id, note, sorted(prompt)))

    @classmethod
    def IS_CHANGED(s, **kwargs):
        return ""


NODE_CLASS_MAPPINGS = {"ImageMixer": ImageMixer}
NODE_DISPLAY_NAME_MAPPINGS = {"ImageMixer": "Image Mixer"}
'''


@pytest.fixture
def mixing(bench: Any, tmp_path: Path) -> Any:
    """Runs a graph that mixes black and white in the node of a folder, and answers what was saved and the run."""
    folder = tmp_path / "custom_nodes"
    folder.mkdir()
    (folder / "mixer.py").write_text(SOURCE)
    bench.classes |= {**node_classes(), **load_node_folder(folder)}

    def run(**inputs: Any) -> Any:
        size = {"width": 4, "height": 4, "batch_size": 1}
        mix = {"image1": ["b", 0], "image2": ["w", 0], "ratio": 0.25, "mode": "mix", "note": ["w", 0], **inputs}
        execution = bench.run(
            {
                "b": ("EmptyImage", {**size, "color": 0}),
                "w": ("EmptyImage", {**size, "color": 0xFFFFFF}),
                "m": ("ImageMixer", mix),
                "o": ("SaveImage", {"images": ["m", 0], "filename_prefix": "mixed"}),
            }
        )
        return bench.sink.pictures[-1].pixels, execution

    return run


def test_it_mixes_two_pictures(mixing: Any) -> None:
    pixels, _ = mixing(note="hello")
    assert torch.from_numpy(pixels).float().mean() == int(0.25 * 255)


def test_only_the_picture_that_counts_is_made(mixing: Any) -> None:
    _, execution = mixing(ratio=0.0, note="hello")
    assert set(execution.node_ms) == {"b", "m", "o"}


def test_its_own_check_is_asked(mixing: Any) -> None:
    with pytest.raises(Exception, match="brings bad luck"):
        mixing(ratio=0.123)


def test_its_result_is_cached(mixing: Any) -> None:
    mixing(note="hello")
    _, execution = mixing(note="hello")
    assert execution.cached_nodes == ("m",)
