"""The whole training as it is started, for a step a stage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from runtime.diffusion.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[3]
STAGES = ("language", "autoencoder", "decoder", "denoiser")


@pytest.mark.slow
def test_one_command_goes_through_all_stages_and_writes_a_checkpoint(tmp_path: Path) -> None:
    work, output = tmp_path / "work", tmp_path / "model.safetensors"
    steps = [word for stage in STAGES for word in (f"--{stage}-steps", "1")]
    command = [sys.executable, "-m", "scripts.train_demo", "--device", "cpu", "--examples", "16", *steps]
    subprocess.run([*command, "--work", str(work), "--output", str(output)], cwd=ROOT, check=True, capture_output=True)
    assert {path.stem for path in work.glob("*.png")} == {"autoencoder", "decoder", "denoiser"}
    assert load_checkpoint(output, device=torch.device("cpu")).clip is not None
