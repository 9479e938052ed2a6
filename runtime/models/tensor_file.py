"""A file of named tensors, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from runtime.errors import ModelCorrupt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")


class TensorFile(Protocol):
    """An open file of named tensors.

    Opening checks the file whole, as far as that goes without reading its tensors. What it hands out stays valid after
    it is closed, and may share memory with the file where device and dtype are those of the file.
    """

    path: Path

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""

    def tensor(self, name: str, *, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
        """One tensor on `device`, in `dtype` if it is of floating point (None: as it is stored)."""

    def tensors(
        self, names: Iterable[str], *, device: torch.device, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """The named tensors, as `tensor` gives them."""

    def __enter__(self) -> TensorFile: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of a ModelCorrupt that does not have it."""
    try:
        yield
    except ModelCorrupt as exc:
        if str(path) in exc.message:
            raise
        raise ModelCorrupt(f"{path}: {exc.message}") from exc


def open_tensors(path: Path, *, may_map: bool = True) -> TensorFile:
    """The file at `path`, read by its suffix: safetensors, or a PyTorch pickle that is not allowed to run code.

    Without `may_map` no tensor shares memory with the file, but for those of a pickle.
    Raises ModelCorrupt or ModelUnsafe, naming the file and its fault.
    """
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        from runtime.models.safetensors_file import SafetensorsFile

        return SafetensorsFile(path, may_map=may_map)
    from runtime.models.pickle_file import PickleFile

    return PickleFile(path)
