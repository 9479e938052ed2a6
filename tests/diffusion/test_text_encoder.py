from __future__ import annotations

import functools
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from runtime.diffusion.family import Family
from runtime.diffusion.text_encoder import TextEncoder
from runtime.errors import InvalidRequest

CPU = torch.device("cpu")
PARITY = Path(__file__).parents[1] / "parity"
BOUND = 1e-5  # a twentieth of what the parity cases allow
FAMILIES = {
    "sd1_mini": Family.SD1,
    "sd2_mini": Family.SD2,
    "sdxl_mini": Family.SDXL,
    "sdxl_refiner_mini": Family.SDXL_REFINER,
}
CASES = [
    *(f"{family}_clip_skip_{skip}" for family in ("sd1", "sd2", "sdxl", "sdxl_refiner") for skip in (1, 2, 3, 4)),
    *(
        f"sd1_prompt_{name}"
        for name in ("empty", "scripts", "tokens_151", "unbalanced", "angle_brackets", "embedding_absent")
    ),
    *(f"{family}_prompt_weights_at_border" for family in ("sd1", "sd2")),
    *(f"sdxl_text_encode_sdxl_{name}" for name in ("longer_g", "longer_l", "empty")),
]


@functools.cache
def _tensors(checkpoint: str) -> dict[str, Tensor]:
    """The text encoder's tensors of a mini checkpoint."""
    draw = runpy.run_path(str(PARITY / "make_checkpoints.py"))["draw"]
    shapes = json.loads((PARITY / "shapes.json").read_text())[checkpoint]
    prefixes = ("cond_stage_model.", "conditioner.")
    return {name: torch.from_numpy(draw(name, shape)) for name, shape in shapes.items() if name.startswith(prefixes)}


@functools.cache
def _encoder(checkpoint: str, dtype: torch.dtype = torch.float32) -> TextEncoder:
    return TextEncoder.from_tensors(_tensors(checkpoint), FAMILIES[checkpoint], device=CPU, dtype=dtype)


def _encode(workflow: dict[str, Any], node_id: str) -> tuple[Tensor, Tensor | None]:
    """What the text node `node_id` of a parity case gives."""
    inputs = workflow[node_id]["inputs"]
    loader = workflow[inputs["clip"][0]]
    skip = loader["inputs"].get("stop_at_clip_layer")
    if skip is not None:
        loader = workflow[loader["inputs"]["clip"][0]]
    encoder = _encoder(Path(loader["inputs"]["ckpt_name"]).stem)
    encoder = encoder if skip is None else encoder.with_clip_skip(skip)
    if "text_g" in inputs:
        return encoder.encode_pair(inputs["text_g"], inputs["text_l"])
    return encoder.encode(inputs["text"])


@pytest.mark.parametrize("case", CASES)
def test_encodings_are_comfyuis(case: str) -> None:
    described = json.loads((PARITY / "cases.json").read_text())[case]
    cond, pooled = _encode(described["workflow"], described["capture"]["cond"][0])
    expected = np.load(PARITY / "expected" / f"{case}.npz")
    _agrees(cond, expected["cond"])
    if "pooled" in expected:
        assert pooled is not None
        _agrees(pooled, expected["pooled"])


def _agrees(got: Tensor, wanted: npt.NDArray[np.float32]) -> None:
    assert got.shape == wanted.shape
    assert np.abs(got.numpy() - wanted).max() <= BOUND * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("checkpoint", "width", "pooled_width"),
    [("sd1_mini", 64, 64), ("sd2_mini", 128, 128), ("sdxl_mini", 192, 128), ("sdxl_refiner_mini", 128, 128)],
)
def test_a_family_has_its_width(checkpoint: str, width: int, pooled_width: int) -> None:
    cond, pooled = _encoder(checkpoint).encode("a cat")
    assert pooled is not None
    assert (cond.shape, pooled.shape) == ((1, 77, width), (1, pooled_width))
    assert cond.dtype == pooled.dtype == torch.float32


def test_weights_kept_in_half_precision_give_the_same_values() -> None:
    for exact, half in zip(
        _encoder("sdxl_mini").encode("a (red:1.3) cat"),
        _encoder("sdxl_mini", torch.float16).encode("a (red:1.3) cat"),
        strict=True,
    ):
        torch.testing.assert_close(exact, half)


def test_half_precision_takes_the_checkpoints_own_bytes() -> None:
    encoder = _encoder("sd1_mini", torch.float16)
    needed = {name: tensor for name, tensor in _tensors("sd1_mini").items() if tensor.is_floating_point()}
    assert encoder.size_bytes == sum(tensor.nbytes for tensor in needed.values())


def test_a_weight_moves_a_token_away_from_the_empty_prompts() -> None:
    encoder = _encoder("sd1_mini")
    empty, plain, heavy = (encoder.encode(text)[0][0] for text in ("", "a cat", "a (cat:1.5)"))
    torch.testing.assert_close(heavy[2], empty[2] + 1.5 * (plain[2] - empty[2]))
    torch.testing.assert_close(heavy[[0, 1, 3]], plain[[0, 1, 3]])


def test_clip_skip_leaves_the_encoder_it_came_from_as_it_was() -> None:
    encoder = _encoder("sd1_mini")
    before, _ = encoder.encode("a cat")
    skipped, _ = encoder.with_clip_skip(-2).encode("a cat")
    assert not torch.allclose(skipped, before)
    assert torch.equal(encoder.encode("a cat")[0], before)


def test_clip_skip_counts_from_the_last_layer() -> None:
    with pytest.raises(InvalidRequest, match="stop_at_clip_layer is 1, expected -1 or less"):
        _encoder("sd1_mini").with_clip_skip(1)


def test_an_embedding_stands_where_its_name_does() -> None:
    cat = _tensors("sd1_mini")["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"][2368]
    encoder = _encoder("sd1_mini").with_embeddings({"cat": cat}.get)
    got, wanted = encoder.encode("a embedding:cat sat"), encoder.encode("a cat sat")
    torch.testing.assert_close(got, wanted)


def test_an_embedding_of_another_width_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    encoder = _encoder("sd1_mini").with_embeddings({"wide": torch.ones(2, 100)}.get)
    torch.testing.assert_close(encoder.encode("a embedding:wide"), encoder.encode("a"))
    assert "an embedding is 100 wide, expected 64 for clip_l: ignored" in caplog.text


def test_each_of_sdxls_encoders_takes_the_embedding_made_for_it(caplog: pytest.LogCaptureFixture) -> None:
    files = {"both": {"clip_l": torch.ones(1, 64), "clip_g": torch.ones(1, 128)}}
    encoder = _encoder("sdxl_mini").with_embeddings(files.get)
    assert not torch.allclose(encoder.encode("embedding:both")[0], encoder.encode("")[0])
    assert not caplog.text


def test_embeddings_of_unequal_length_cut_sdxls_conditioning_to_the_shorter() -> None:
    files = {"uneven": {"clip_l": torch.ones(80, 64), "clip_g": torch.ones(1, 128)}}
    cond, _ = _encoder("sdxl_mini").with_embeddings(files.get).encode("embedding:uneven")
    assert cond.shape == (1, 77, 192)


@pytest.mark.parametrize("checkpoint", ["sd1_mini", "sd2_mini"])
def test_two_texts_need_an_encoder_of_sdxl(checkpoint: str) -> None:
    with pytest.raises(InvalidRequest, match="need an encoder of SDXL, not "):
        _encoder(checkpoint).encode_pair("a cat", "a dog")


def test_sd2_without_its_projection_has_no_pooled_vector() -> None:
    tensors = {name: tensor for name, tensor in _tensors("sd2_mini").items() if "text_projection" not in name}
    encoder = TextEncoder.from_tensors(tensors, Family.SD2, device=CPU, dtype=torch.float32)
    cond, pooled = encoder.encode("a cat")
    assert pooled is None
    torch.testing.assert_close(cond, _encoder("sd2_mini").encode("a cat")[0])
