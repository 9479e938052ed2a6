"""The device that ComfyUI computes on: what it decides while it is imported, decided anew once a device is there."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from runtime.engines.comfyui import internals
from runtime.engines.comfyui.placement import Placement


def take_device(placement: Placement) -> None:
    """Make the GPU that `placement` names torch's own, before ComfyUI asks torch for one."""
    import torch

    index = torch.device(placement.device).index if placement.device.startswith("cuda") else None
    if index is not None and placement.has_gpu():
        torch.cuda.set_device(index)


def limit_memory(management: Any, placement: Placement) -> None:
    """Leave free what `placement` keeps from ComfyUI; on the CPU there is nothing to leave."""
    device = management.get_torch_device()
    if device.type != "cuda":
        return
    import torch

    others = (1.0 - placement.memory_fraction) * management.get_total_memory(device)
    management.EXTRA_RESERVED_VRAM += int(others + placement.reserved_gb * 1e9)
    if placement.memory_fraction < 1.0:
        torch.cuda.set_per_process_memory_fraction(placement.memory_fraction, device)


def decide_anew(arguments: Any, management: Any, placement: Placement) -> None:
    """Give a ComfyUI that was imported without a device the one that `placement` names, if the machine has it.

    Its model management is executed once more, in place, with the arguments that it would have had; what other modules
    took from it by name is replaced there. No model may be loaded, and no result kept, from before.
    """
    if not placement.has_gpu():
        return
    take_device(placement)
    arguments.cpu = False
    arguments.highvram = "--highvram" in placement.arguments()
    before = {id(value): name for name, value in vars(management).items() if _is_own(value, management.__name__)}
    importlib.reload(management)
    for module in list(sys.modules.values()):
        for name, value in (
            list(vars(module).items()) if module is not management and hasattr(module, "__dict__") else ()
        ):
            if id(value) in before:
                setattr(module, name, getattr(management, before[id(value)], value))
    internals.recompute_import_decisions(management)


def _is_own(value: Any, module: str) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module
