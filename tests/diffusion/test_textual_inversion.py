from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.textual_inversion import invert, no_embeddings

STYLE = torch.arange(6.0).reshape(2, 3)
FILES: dict[str, Tensor | dict[str, Any]] = {
    "style": STYLE,
    "one": STYLE[0],
    "scalar": torch.tensor(1.0),
    "by_a1111": {"name": "x", "string_to_param": {"*": STYLE}},
    "for_both": {"clip_g": torch.zeros(2, 5), "clip_l": STYLE},
    "bundled": {
        "lora": torch.zeros(4),
        "bundle_emb.a.string_to_param.*": STYLE[:1],
        "bundle_emb.b.string_to_param.*": STYLE[1:],
    },
    "any_name": {"step": 100, "emb_params": STYLE},
    "no_tensor": {"step": 100},
}


def _invert(text: str) -> tuple[Tensor | None, str]:
    return invert(text, embeddings=FILES.get, key="clip_l")


@pytest.mark.parametrize("name", ["style", "by_a1111", "for_both", "bundled", "any_name"])
def test_the_vectors_are_found_in_what_the_file_is(name: str) -> None:
    vectors, _ = _invert(name)
    assert vectors is not None
    assert torch.equal(vectors, STYLE)


def test_a_lone_vector_is_one_row() -> None:
    vectors, _ = _invert("one")
    assert vectors is not None
    assert vectors.shape == (1, 3)


@pytest.mark.parametrize("name", ["absent", "scalar", "no_tensor", "", ",,"])
def test_what_has_no_vectors_is_ignored_with_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        vectors, _ = _invert(name)
    assert vectors is None
    assert f"the embedding {name!r}, which does not exist: ignored" in caplog.text


@pytest.mark.parametrize(
    ("text", "behind"),
    [("style", ""), ("style  of  old", "of old"), ("style, of old", ", of old"), ("style,", ", ")],
    ids=["nothing", "words", "a comma and words", "a comma"],
)
def test_what_stands_behind_the_name_is_left(text: str, behind: str) -> None:
    vectors, rest = _invert(text)
    assert vectors is not None
    assert rest == behind


def test_without_a_folder_no_embedding_exists(caplog: pytest.LogCaptureFixture) -> None:
    assert invert("style now", embeddings=no_embeddings, key="clip_l") == (None, "now")
