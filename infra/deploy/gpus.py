"""The GPUs that a deployment may ask for, and what each platform calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from infra.deploy.errors import DeployError

GpuName = Literal["t4", "l4", "a10g", "rtx-4090", "l40s", "a100-40gb", "a100-80gb", "h100", "h200", "b200"]
Platform = Literal["runpod", "modal", "ec2", "cloudrun", "kubernetes"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU: its memory, and its name on each platform; None where the platform does not rent it alone.

    `runpod` is the pool that it is in, with others like it, `ec2` the instance type with one of it, `kubernetes` the
    label nvidia.com/gpu.product of its nodes.
    """

    memory_gb: int
    runpod: str | None = None
    modal: str | None = None
    ec2: str | None = None
    cloudrun: str | None = None
    kubernetes: str | None = None


GPUS: dict[GpuName, Gpu] = {
    "t4": Gpu(memory_gb=16, modal="T4", ec2="g4dn.xlarge", kubernetes="Tesla-T4"),
    "l4": Gpu(
        memory_gb=24, runpod="AMPERE_24", modal="L4", ec2="g6.xlarge", cloudrun="nvidia-l4", kubernetes="NVIDIA-L4"
    ),
    "a10g": Gpu(memory_gb=24, modal="A10", ec2="g5.xlarge", kubernetes="NVIDIA-A10G"),
    "rtx-4090": Gpu(memory_gb=24, runpod="ADA_24", kubernetes="NVIDIA-GeForce-RTX-4090"),
    "l40s": Gpu(memory_gb=48, runpod="ADA_48_PRO", modal="L40S", ec2="g6e.xlarge", kubernetes="NVIDIA-L40S"),
    "a100-40gb": Gpu(memory_gb=40, modal="A100-40GB", kubernetes="NVIDIA-A100-SXM4-40GB"),
    "a100-80gb": Gpu(memory_gb=80, runpod="AMPERE_80", modal="A100-80GB", kubernetes="NVIDIA-A100-SXM4-80GB"),
    "h100": Gpu(
        memory_gb=80,
        runpod="ADA_80_PRO",
        modal="H100",
        ec2="p5.4xlarge",
        kubernetes="NVIDIA-H100-80GB-HBM3",
    ),
    "h200": Gpu(memory_gb=141, runpod="HOPPER_141", modal="H200", kubernetes="NVIDIA-H200"),
    "b200": Gpu(memory_gb=180, runpod="BLACKWELL_180", modal="B200", kubernetes="NVIDIA-B200"),
}


def names_on(platform: Platform, wanted: Sequence[GpuName]) -> list[str]:
    """The wanted GPUs that `platform` has, by its names, in the order of preference.

    Raises DeployError where it has none of them.
    """
    found = [name for gpu in wanted if (name := getattr(GPUS[gpu], platform)) is not None]
    if not found:
        there = ", ".join(name for name, gpu in GPUS.items() if getattr(gpu, platform) is not None)
        raise DeployError(f"gpus is {', '.join(wanted)}, of which {platform} has none; expected one of {there}")
    return found
