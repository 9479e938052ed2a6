"""The mini models have what their families are told apart by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

SD2_SPREAD = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"


def _load(models: Path, name: str) -> dict[str, np.ndarray]:
    return load_file(models / "checkpoints" / f"{name}.safetensors")


def test_the_statistic_that_tells_v_prediction_stands_on_both_sides_of_its_bound(mini_models: Path) -> None:
    eps, v = (_load(mini_models, name)[SD2_SPREAD].astype(np.float32).std() for name in ("sd2_mini", "sd2_v_mini"))
    assert eps < 0.06 < 0.09 < 0.15 < v


@pytest.mark.parametrize(("name", "marks"), [("sdxl_v_mini", {"v_pred"}), ("sdxl_ztsnr_mini", {"v_pred", "ztsnr"})])
def test_a_prediction_is_marked_by_empty_tensors_alone(mini_models: Path, name: str, marks: set[str]) -> None:
    base, marked = _load(mini_models, "sdxl_mini"), _load(mini_models, name)
    assert marked.keys() - base.keys() == marks
    assert all(marked[mark].size == 0 for mark in marks)
    assert all(np.array_equal(marked[key], base[key]) for key in base)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_an_inpainting_model_takes_nine_channels(mini_models: Path, family: str) -> None:
    assert _load(mini_models, f"{family}_inpaint_mini")[FIRST_CONV].shape[1] == 9


def test_the_vae_file_has_bare_names(mini_models: Path) -> None:
    names = load_file(mini_models / "vae" / "vae_mini.safetensors").keys()
    assert "encoder.conv_in.weight" in names
    assert not any(name.startswith("first_stage_model.") for name in names)


def test_the_loras_stand_in_a_folder_of_their_own(mini_models: Path) -> None:
    loras = {path.stem: load_file(path) for path in (mini_models / "loras").iterdir()}
    assert sorted(loras) == ["sd1_lora_diffusers_mini", "sd1_lora_mini", "sd1_lycoris_mini", "sdxl_lora_mini"]
    ranks = {len(tensor) for lora in loras.values() for name, tensor in lora.items() if ".lora_down." in name}
    assert ranks == {4}
