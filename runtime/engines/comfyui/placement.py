"""Where ComfyUI's models lie and in what precision, from our settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

_PRECISIONS = {
    "float32": ("--force-fp32",),
    "float16": ("--force-fp16", "--fp16-vae", "--fp16-text-enc"),
    "bfloat16": ("--bf16-unet", "--bf16-vae", "--bf16-text-enc"),
}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """`device` as in the setting; `is_deferred` while the process shall touch no GPU yet, to be attached later.

    `memory_fraction` of the GPU's memory is ours, and of that `reserved_gb` stay free; `offloads` lets models that do
    not run be moved to the CPU's memory when the GPU's is short.
    """

    device: str = "auto"
    dtype: str = "auto"
    memory_fraction: float = 1.0
    reserved_gb: float = 0.0
    offloads: bool = True
    is_deferred: bool = False

    def deferred(self, is_deferred: bool) -> Placement:
        """The same with the device left open, or not."""
        return replace(self, is_deferred=is_deferred)

    def has_gpu(self) -> bool:
        """Whether the device is a GPU, and torch finds one."""
        import torch

        return self.device != "cpu" and torch.cuda.is_available()

    def arguments(self) -> list[str]:
        """ComfyUI's arguments for this."""
        return [*self._device(), *_PRECISIONS.get(self.dtype, ()), *self._memory()]

    def _device(self) -> list[str]:
        if self.is_deferred:
            # ComfyUI picks its attention while it is imported: this is what it picks for an NVIDIA GPU.
            return ["--cpu", "--use-pytorch-cross-attention"]
        return [] if self.has_gpu() else ["--cpu"]

    def _memory(self) -> list[str]:
        return [] if self.offloads or self.is_deferred or not self.has_gpu() else ["--highvram"]
