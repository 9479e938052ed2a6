"""Record what ComfyUI's union of ControlNets adds to a UNet, for tests/diffusion to hold ours to.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.parity.make_union_control

A union has a width that no mini model has, so that no parity case reaches it: here is one of four input blocks, whose
weights and inputs are drawn by the seeds that the test draws them by. Runs in the interpreter that has ComfyUI's
requirements, from the repository's root.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.parity.case_file import PARITY
from scripts.parity.checkout import Checkout, CheckoutError

FOLDER = PARITY.parent / "diffusion"
KINDS = {"none": [], "depth": [1], "segment": [5]}
EVERY = 97  # of the values, one is kept


def main() -> int:
    """Write the values and the tensors' shapes; the exit status is 1 where the checkout cannot be used."""
    try:
        with tempfile.TemporaryDirectory(prefix="union-") as base:
            Checkout(Path(os.environ.get("COMFYUI_PATH", "")), Path(base) / "base")
            _record()
    except CheckoutError as exc:
        print(f"make_union_control: {exc}", file=sys.stderr)
        return 1
    return 0


def _record() -> None:
    sys.path.insert(0, str(PARITY))
    draw = importlib.import_module("make_checkpoints").draw
    operations = importlib.import_module("comfy.ops").disable_weight_init
    network = importlib.import_module("comfy.cldm.cldm").ControlNet(
        image_size=32, in_channels=4, model_channels=320, hint_channels=3, num_res_blocks=[1, 1], channel_mult=[1, 1],
        transformer_depth=[0, 1], transformer_depth_middle=1, context_dim=64, use_spatial_transformer=True,
        use_linear_in_transformer=True, num_head_channels=64, num_classes="sequential", adm_in_channels=96,
        union_controlnet_num_control_type=6, operations=operations, dtype=torch.float32,
    )  # fmt: skip
    shapes = {name: list(parameter.shape) for name, parameter in network.named_parameters()}
    in_file = {name: name.replace(".attn.in_proj.", ".attn.in_proj_") for name in shapes}
    weights = {name: torch.from_numpy(draw(in_file[name], shape)).float() for name, shape in shapes.items()}
    network.load_state_dict(weights)
    generator = torch.Generator().manual_seed(0)
    given = {
        "x": torch.randn(2, 4, 4, 6, generator=generator),
        "hint": torch.rand(1, 3, 32, 48, generator=generator),
        "timesteps": torch.tensor([500.0, 20.0]),
        "context": torch.randn(2, 7, 64, generator=generator),
        "y": torch.randn(2, 96, generator=generator),
    }
    kept: dict[str, Any] = {}
    with torch.no_grad():
        for name, kinds in KINDS.items():
            made = network(**given, control_type=kinds)
            flat = torch.cat([part.flatten(1) for part in (*made["output"], *made["middle"])], dim=1)
            kept[name] = flat[:, ::EVERY].numpy()
    np.savez_compressed(FOLDER / "union_control.npz", **kept)
    (FOLDER / "union_control_shapes.json").write_text(json.dumps({in_file[n]: s for n, s in shapes.items()}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
