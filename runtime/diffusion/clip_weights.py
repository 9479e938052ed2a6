"""A CLIP text transformer out of a checkpoint's tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from runtime.diffusion.clip import HEAD_CHANNELS, ClipSize, ClipText
from runtime.diffusion.layers import assign_weights
from runtime.diffusion.openclip import with_views
from runtime.diffusion.text_layouts import TowerFacts
from runtime.diffusion.tokenizer import VOCABULARY_SIZE
from runtime.errors import ModelCorrupt

_TABLE = "embeddings.token_embedding.weight"
_PROJECTION = "text_projection.weight"
_BLOCKS = "encoder.layers."


def load_clip(
    tensors: Mapping[str, Tensor], facts: TowerFacts, *, device: torch.device, dtype: torch.dtype
) -> ClipText:
    """Build the transformer that `facts` describes, of the sizes that the tensors' shapes tell.

    A tensor that has the wanted dtype and device is used as it is. So is the token table where it is no wider: its
    rows are widened as they are read. Raises ModelCorrupt naming a tensor that is missing, misshapen or not of floats.
    """
    prefix = next((each for each in facts.prefixes if each + facts.file_name(_TABLE) in tensors), facts.prefixes[0])
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if facts.openclip:
        named = with_views(named)
    source = _Source(named, facts, prefix)
    model = ClipText(source.size(), facts.activation)
    parameters = [name for name, _ in model.named_parameters()]
    placed = {
        source.name(parameter): _placed(source.tensor(parameter), dtype, device, keeps_narrow=parameter == _TABLE)
        for parameter in parameters
    }
    assign_weights(model, placed, file_name=source.name)
    return model


class _Source:
    """A checkpoint's tensors by the names of `ClipText`, which messages give back as the checkpoint's."""

    def __init__(self, named: Mapping[str, Tensor], facts: TowerFacts, prefix: str) -> None:
        self._named = named
        self._facts = facts
        self._prefix = prefix

    def name(self, parameter: str) -> str:
        return self._prefix + self._facts.file_name(parameter)

    def tensor(self, parameter: str) -> Tensor:
        tensor = self._named.get(self._facts.file_name(parameter))
        if tensor is None:
            raise ModelCorrupt(f"the checkpoint has no tensor {self.name(parameter)}, which its text encoder needs")
        if not tensor.is_floating_point():
            raise ModelCorrupt(
                f"the tensor {self.name(parameter)} is of {tensor.dtype}, expected floating point numbers"
            )
        return tensor

    def size(self) -> ClipSize:
        width = self._matrix(_TABLE, VOCABULARY_SIZE, None)[1]
        if width == 0 or width % HEAD_CHANNELS:
            raise ModelCorrupt(
                f"the tensor {self.name(_TABLE)} is {width} wide, expected a multiple of {HEAD_CHANNELS}"
            )
        inner = self._matrix(f"{_BLOCKS}0.mlp.fc1.weight", None, width)[0]
        projection = self._matrix(_PROJECTION, None, width)[0] if self._projects() else None
        return ClipSize(tokens=VOCABULARY_SIZE, width=width, depth=self._depth(), inner=inner, projection=projection)

    def _projects(self) -> bool:
        has_projection = self._facts.file_name(_PROJECTION) in self._named
        return self._facts.openclip and (has_projection or self._facts.needs_projection)

    def _depth(self) -> int:
        block = re.compile(re.escape(self._facts.file_name(_BLOCKS)) + r"(\d+)\.")
        return len({match[1] for name in self._named if (match := block.match(name))})

    def _matrix(self, parameter: str, rows: int | None, columns: int | None) -> torch.Size:
        """The shape of a matrix of which some sizes are known."""
        shape = self.tensor(parameter).shape
        expected = [rows, columns]
        if len(shape) != 2 or any(size not in (None, got) for size, got in zip(expected, shape, strict=True)):
            wanted = ["any" if size is None else size for size in expected]
            raise ModelCorrupt(f"the tensor {self.name(parameter)} has the shape {list(shape)}, expected {wanted}")
        return shape


def _placed(tensor: Tensor, dtype: torch.dtype, device: torch.device, *, keeps_narrow: bool) -> Tensor:
    if keeps_narrow and 2 <= tensor.dtype.itemsize <= dtype.itemsize:
        dtype = tensor.dtype
    return tensor.to(device=device, dtype=dtype)
