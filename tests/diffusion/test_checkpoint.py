from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from runtime.diffusion.checkpoint import load_checkpoint, vae_dtype
from runtime.diffusion.family import Family
from runtime.diffusion.prediction import Parameterization, Prediction
from runtime.errors import ModelCorrupt

CPU = torch.device("cpu")
EPS = Prediction()
V = Prediction(parameterization=Parameterization.V)
V_ZSNR = Prediction(parameterization=Parameterization.V, zero_terminal_snr=True)

Altered = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "family", "prediction"),
    [
        ("sd1_mini", Family.SD1, EPS),
        ("sd1_inpaint_mini", Family.SD1_INPAINT, EPS),
        ("sd2_mini", Family.SD2, EPS),
        ("sd2_v_mini", Family.SD2, V),
        ("sd2_inpaint_mini", Family.SD2_INPAINT, EPS),
        ("sdxl_mini", Family.SDXL, EPS),
        ("sdxl_v_mini", Family.SDXL, V),
        ("sdxl_ztsnr_mini", Family.SDXL, V_ZSNR),
        ("sdxl_inpaint_mini", Family.SDXL_INPAINT, EPS),
        ("sdxl_refiner_mini", Family.SDXL_REFINER, EPS),
    ],
)
def test_each_family_and_what_it_predicts_is_told_by_its_tensors(
    mini_models: Path, name: str, family: Family, prediction: Prediction
) -> None:
    checkpoint = load_checkpoint(mini_models / "checkpoints" / f"{name}.safetensors", device=CPU)
    assert checkpoint.family is checkpoint.model.family is family
    assert checkpoint.model.prediction == prediction
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None


def test_a_cpu_runs_everything_in_float32_and_says_so(mini_models: Path) -> None:
    checkpoint = load_checkpoint(mini_models / "checkpoints" / "sd1_mini.safetensors", device=CPU)
    assert checkpoint.model.dtype == torch.float32
    assert {weight.dtype for weight in checkpoint.model.unet.parameters()} == {torch.float32}
    assert checkpoint.vae is not None
    assert checkpoint.vae.dtype == torch.float32


def test_the_size_is_that_of_the_weights_as_they_are_held(mini_models: Path) -> None:
    path = mini_models / "checkpoints" / "sd1_mini.safetensors"
    full, half = (load_checkpoint(path, device=CPU, dtype=dtype) for dtype in (torch.float32, torch.float16))
    assert half.model.size_bytes * 2 == full.model.size_bytes
    assert full.size_bytes == pytest.approx(2 * path.stat().st_size, rel=0.02)


def test_a_vae_never_runs_in_float16() -> None:
    assert vae_dtype(CPU, torch.float16) == torch.float32
    assert vae_dtype(CPU, torch.bfloat16) == torch.bfloat16


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((8, 9), torch.bfloat16), ((9, 0), torch.bfloat16)],
    ids=["T4", "A100", "4090", "H100"],
)
def test_a_vae_beside_float16_runs_in_bfloat16_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", {torch.device("cuda:1"): capability}.get)
    assert vae_dtype(torch.device("cuda:1"), torch.float16) == dtype


@pytest.fixture
def altered(mini_models: Path, tmp_path: Path) -> Altered:
    """`altered("sd1_mini", ...)`: a copy of a checkpoint without some tensors, by prefix, and with some more."""

    def make(name: str, *, without: str | None = None, more: Mapping[str, Tensor] | None = None) -> Path:
        tensors = load_file(mini_models / "checkpoints" / f"{name}.safetensors")
        kept = {name: tensor for name, tensor in tensors.items() if not (without and name.startswith(without))}
        path = tmp_path / f"{name}.safetensors"
        save_file(kept | dict(more or {}), path)
        return path

    return make


def test_a_file_of_the_diffusion_model_alone_has_neither_encoder_nor_vae(altered: Altered) -> None:
    path = altered("sd1_mini", without="cond_stage_model.")
    tensors = {n: t for n, t in load_file(path).items() if n.startswith("model.")}
    save_file(tensors, path)
    checkpoint = load_checkpoint(path, device=CPU)
    assert checkpoint.clip is None
    assert checkpoint.vae is None
    assert checkpoint.size_bytes == checkpoint.model.size_bytes


@pytest.mark.parametrize(
    ("without", "named"),
    [
        ("model.diffusion_model.middle_block.1.norm.bias", r"middle_block\.1\.norm\.bias"),
        ("model.diffusion_model.time_embed.0.weight", r"time_embed\.0\.weight"),
        ("first_stage_model.decoder.norm_out.weight", r"decoder\.norm_out\.weight"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", "final_layer_norm"),
    ],
)
def test_a_checkpoint_that_lacks_a_tensor_is_corrupt_by_file_and_tensor(
    altered: Altered, without: str, named: str
) -> None:
    with pytest.raises(ModelCorrupt, match=rf"sd1_mini\.safetensors.*{named}"):
        load_checkpoint(altered("sd1_mini", without=without), device=CPU)


@pytest.mark.parametrize("mark", ["edm_mean", "edm_vpred.sigma_max"])
def test_a_formulation_that_is_not_supported_is_refused_by_its_mark(altered: Altered, mark: str) -> None:
    with pytest.raises(ModelCorrupt, match=mark):
        load_checkpoint(altered("sdxl_mini", more={mark: torch.ones(1)}), device=CPU)


def test_a_foreign_file_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "flux.safetensors"
    save_file({"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ModelCorrupt, match=r"flux\.safetensors: no checkpoint of a known family.*Flux"):
        load_checkpoint(path, device=CPU)


def test_a_pickled_checkpoint_gives_the_same_models(mini_models: Path, tmp_path: Path) -> None:
    path = mini_models / "checkpoints" / "sd1_mini.safetensors"
    pickled = tmp_path / "sd1_mini.ckpt"
    torch.save({"state_dict": load_file(path), "global_step": 7}, pickled)
    ours, theirs = (load_checkpoint(each, device=CPU) for each in (pickled, path))
    assert ours.family is theirs.family
    for name, weight in theirs.model.unet.named_parameters():
        assert torch.equal(ours.model.unet.get_parameter(name), weight), name
