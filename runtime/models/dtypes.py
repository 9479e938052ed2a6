"""The dtypes of the safetensors format as torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_TORCH_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "BF16": "bfloat16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
}


def stored_dtype(code: str) -> torch.dtype:
    """Torch's dtype for a code of the format that the header's check let pass."""
    import torch

    dtype: torch.dtype = getattr(torch, _TORCH_NAMES[code])
    return dtype


def wanted_dtype(stored: torch.dtype, dtype: torch.dtype | None) -> torch.dtype:
    """What a tensor becomes where those of floating point are wanted in `dtype` (None: as they are stored)."""
    return dtype if dtype is not None and stored.is_floating_point else stored
