"""A ComfyUI that was imported with no device visible, given one afterwards: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GPU = """
import json, sys, tempfile
from pathlib import Path
from unittest import mock

import torch

from runtime.engines.comfyui.engine import ComfyEngine, ComfyOptions
from runtime.engines.comfyui.placement import Placement
from scripts.parity import stand_ins

stand_ins.install_absent()
TOTAL = 16 << 30
engine = ComfyEngine(
    ComfyOptions(
        checkout=Path(sys.argv[1]),
        models=Path(tempfile.mkdtemp()),
        placement=Placement(device="cuda:0", memory_fraction=0.5, reserved_gb=1.0),
        loads_api_nodes=False,
    )
)
engine.prepare()
management = sys.modules["comfy.model_management"]
seen = {"before": str(management.get_torch_device()), "vram_state_before": management.vram_state.name}
properties = mock.Mock(total_memory=TOTAL, major=9, minor=0)
properties.name = "Pretended"
machine = {
    "is_available": True,
    "device_count": 1,
    "current_device": torch.device("cuda:0"),
    "set_device": None,
    "get_device_name": "Pretended",
    "mem_get_info": (TOTAL, TOTAL),
    "memory_stats": {"reserved_bytes.all.current": 0, "active_bytes.all.current": 0},
    "get_device_properties": properties,
    "get_device_capability": (9, 0),
    "set_per_process_memory_fraction": None,
    "is_bf16_supported": True,
    "get_allocator_backend": "native",
}
fakes = {name: mock.Mock(return_value=fact) for name, fact in machine.items()}
with mock.patch.multiple(torch.cuda, **fakes), mock.patch.object(torch.version, "cuda", "12.8"):
    engine.attach()
    ask = ("get_torch_device", "unet_offload_device", "text_encoder_device", "vae_device", "intermediate_device")
    seen |= {name: str(getattr(management, name)()) for name in ask if hasattr(management, name)}
    seen["vram_state"] = management.vram_state.name
    seen["total_mb"] = management.total_vram
    seen["reserved_gb"] = management.EXTRA_RESERVED_VRAM / 1e9
    seen["fraction"] = torch.cuda.set_per_process_memory_fraction.call_args.args[0]
    checkout = Path(sys.argv[1]).resolve()
    own = [m for m in list(sys.modules.values()) if str(checkout) in str(getattr(m, "__file__", ""))]
    seen["modules"] = len(own)
    stale, on_cpu = [], []
    for module in own:
        for name, value in vars(module).items():
            if isinstance(value, torch.device) and value.type == "cpu":
                on_cpu.append(f"{module.__name__}.{name}")
            if getattr(value, "__module__", None) == "comfy.model_management" and callable(value):
                current = getattr(management, getattr(value, "__name__", ""), value)
                if current is not value and name in vars(management):
                    stale.append(f"{module.__name__}.{name}")
    seen |= {"stale": stale, "on_cpu": on_cpu}
    attention = sys.modules.get("comfy.ldm.modules.attention")
    seen["attention"] = attention.optimized_attention.__name__ if attention else "attention_pytorch"
    seen["sdp_batch_limit"] = attention.SDP_BATCH_LIMIT if attention else 2**15
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(checkout: Path) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GPU, str(checkout)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_is_on_a_gpu_before(seen: dict[str, object]) -> None:
    assert (seen["before"], seen["vram_state_before"]) == ("cpu", "DISABLED")


def test_every_decision_of_the_model_management_is_for_the_gpu(seen: dict[str, object]) -> None:
    assert [seen[name] for name in ("get_torch_device", "text_encoder_device", "vae_device")] == ["cuda:0"] * 3
    assert seen["vram_state"] == "NORMAL_VRAM"
    assert seen["total_mb"] == 16 << 10


def test_no_module_holds_a_device_or_a_function_from_before(seen: dict[str, object]) -> None:
    assert (seen["stale"], seen["on_cpu"]) == ([], [])
    assert seen["modules"]


def test_attention_is_what_a_gpu_gets(seen: dict[str, object]) -> None:
    assert (seen["attention"], seen["sdp_batch_limit"]) == ("attention_pytorch", 2**15)


def test_what_the_settings_keep_from_comfyui_stays_free(seen: dict[str, object]) -> None:
    assert seen["fraction"] == 0.5
    assert isinstance(seen["reserved_gb"], float)
    assert seen["reserved_gb"] >= 1.0 + (16 << 30) / 2 / 1e9
