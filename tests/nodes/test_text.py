from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.errors import NodeFailed

Call = Callable[..., Any]


@dataclass(frozen=True)
class SpellingEncoder:
    """A text encoder whose tokens are the text's letters and whose pooled output is its last layer."""

    last_layer: int = -1

    def encode(self, text: str) -> tuple[Tensor, Tensor]:
        return torch.tensor([[[float(ord(letter))] for letter in text]]), torch.tensor([[float(self.last_layer)]])

    def encode_pair(self, text_g: str, text_l: str) -> tuple[Tensor, Tensor]:
        return self.encode(text_g + "|" + text_l)

    def with_clip_skip(self, stop_at_layer: int) -> SpellingEncoder:
        return replace(self, last_layer=stop_at_layer)


def _spelt(conditioning: Any) -> str:
    return "".join(chr(int(token)) for token in conditioning[0][0].flatten())


def test_a_prompt_becomes_tokens_and_a_pooled_output(call: Call) -> None:
    (conditioning,) = call("CLIPTextEncode", clip=SpellingEncoder(), text="a cat")
    assert _spelt(conditioning) == "a cat"
    assert conditioning[0][1] == {"pooled_output": torch.tensor([[-1.0]])}


def test_sdxl_is_told_its_sizes(call: Call) -> None:
    sizes = {"width": 1, "height": 2, "crop_w": 3, "crop_h": 4, "target_width": 5, "target_height": 6}
    (conditioning,) = call("CLIPTextEncodeSDXL", clip=SpellingEncoder(), text_g="big", text_l="small", **sizes)
    assert _spelt(conditioning) == "big|small"
    assert {key: value for key, value in conditioning[0][1].items() if key != "pooled_output"} == sizes


def test_the_refiner_is_told_its_score_and_size(call: Call) -> None:
    (conditioning,) = call(
        "CLIPTextEncodeSDXLRefiner", clip=SpellingEncoder(), ascore=2.5, width=640, height=512, text="x"
    )
    told = {key: value for key, value in conditioning[0][1].items() if key != "pooled_output"}
    assert told == {"aesthetic_score": 2.5, "width": 640, "height": 512}


def test_an_encoder_is_stopped_early_in_a_copy(call: Call) -> None:
    encoder = SpellingEncoder()
    assert call("CLIPSetLastLayer", clip=encoder, stop_at_clip_layer=-2)[0].last_layer == -2
    assert encoder.last_layer == -1


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("CLIPTextEncode", {"text": ""}),
        ("CLIPTextEncodeSDXL", {"text_g": "", "text_l": ""}),
        ("CLIPTextEncodeSDXLRefiner", {"ascore": 6.0, "width": 8, "height": 8, "text": ""}),
        ("CLIPSetLastLayer", {"stop_at_clip_layer": -1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_checkpoint_without_a_text_encoder_is_said_to_have_none(
    name: str, inputs: dict[str, Any], call: Call
) -> None:
    with pytest.raises(NodeFailed, match=f"{name}: .* holds no text encoder"):
        call(name, clip=None, **inputs)
