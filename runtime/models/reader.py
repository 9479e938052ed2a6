"""A safetensors file as its tensors: the one way by which weights come from the volume into memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.models.safetensors_file import SafetensorsFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FileTensors:
    """What a file holds: its tensors by name, in the order of its header, and its metadata."""

    tensors: dict[str, Tensor]
    metadata: Mapping[str, str]


def read_tensors(path: Path, *, device: torch.device, order: Sequence[str] = ()) -> FileTensors:
    """Every tensor of the file on `device`, as it is stored; those that begin with the prefixes in `order` first.

    The header is checked before anything else. Tensors on the CPU are memory of the caller's own, which may be written
    to without reaching the file. Raises ModelCorrupt or ModelUnsafe, naming the file and its fault.
    """
    with SafetensorsFile(path) as file:
        tensors: dict[str, Tensor] = {}
        for prefix in (*order, ""):
            tensors |= file.tensors(_beginning(prefix, file.shapes, but=tensors), device=device)
        return FileTensors(tensors={name: tensors[name] for name in file.shapes}, metadata=file.header.metadata)


def _beginning(prefix: str, names: Iterable[str], *, but: Mapping[str, Tensor]) -> list[str]:
    return [name for name in names if name.startswith(prefix) and name not in but]
