"""One CLIP at work: the chunks of a prompt through it, weighted as ComfyUI weighs them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from runtime.diffusion.clip import ClipText
from runtime.diffusion.clip_weights import load_clip
from runtime.diffusion.lora import Lora
from runtime.diffusion.lora_stack import LoraStack
from runtime.diffusion.moving import moved
from runtime.diffusion.prompt import Chunk, Token, pack
from runtime.diffusion.text_layouts import TowerFacts
from runtime.diffusion.tokenizer import END_TOKEN

_ROWS_AT_ONCE = 64
_OPENCLIP_H_WIDTH, _OPENCLIP_H_DEPTH = 1024, 24

_log = logging.getLogger(__name__)


class Tower:
    """A CLIP and what its family takes from it."""

    def __init__(self, model: ClipText, facts: TowerFacts) -> None:
        self.facts = facts
        self._depth = _depth(model)
        self._loras = LoraStack(model, precision=torch.float16)  # in which ComfyUI keeps changed weights

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], facts: TowerFacts, *, device: torch.device, dtype: torch.dtype
    ) -> Tower:
        """As `load_clip`."""
        return cls(load_clip(tensors, facts, device=device, dtype=dtype), facts)

    def on(self, device: torch.device) -> Tower:
        """A copy of the transformer as it was loaded, on `device`."""
        return Tower(moved(self.base, device), self.facts)

    def with_lora(self, lora: Lora, layers: Mapping[str, str], strength: float) -> Tower:
        """A tower with a LoRA on top; as `LoraStack.with_lora`."""
        derived = copy.copy(self)
        derived._loras = self._loras.with_lora(lora, layers, strength)
        return derived

    @property
    def base(self) -> ClipText:
        """The transformer as it was loaded."""
        return self._loras.base

    @property
    def model(self) -> ClipText:
        """The transformer under the tower's LoRAs."""
        return self._loras.module

    @property
    def device(self) -> torch.device:
        return self.base.final_layer_norm.weight.device

    def encode(self, chunks: Sequence[Chunk], *, stop_at: int | None) -> tuple[Tensor, Tensor | None]:
        """(1, 77 * chunks, W) and the first chunk's pooled vector (1, P), float32 on the tower's device.

        A weight w moves a token's vector z away from the one that the empty prompt has in its place: (z - e) w + e.
        """
        weights = torch.tensor([chunk.weights for chunk in chunks], device=self.device)[..., None]  # (chunks, 77, 1)
        weighted = any(weight != 1 for chunk in chunks for weight in chunk.weights)
        if weighted:
            chunks = [*chunks, *pack([], pad_token=self.facts.pad_token)]
        rows = [self._row(chunk.tokens) for chunk in chunks]
        states, pooled = self._run(torch.stack([vectors for vectors, _ in rows]), rows[0][1], stop_at)
        if weighted:
            states, empty = states[:-1], states[-1]
            states = torch.where(weights == 1, states, (states - empty) * weights + empty)
        return states.flatten(0, 1)[None], pooled

    def _run(self, vectors: Tensor, end: int, stop_at: int | None) -> tuple[Tensor, Tensor | None]:
        """(B, 77, W) token vectors -> the states that are the conditioning, and the first row's pooled vector."""
        blocks, norms = self._stop(stop_at)
        norm = self.model.final_layer_norm
        states = torch.cat([self.model.hidden(rows, blocks=blocks) for rows in torch.split(vectors, _ROWS_AT_ONCE)])
        pooled = None
        if self.facts.pools and not self._lacks_projection():
            pooled = self.model.project(norm(self.model.run(states[:1], blocks, self._depth))[:, end])
        return norm(states) if norms else states, pooled

    def _stop(self, stop_at: int | None) -> tuple[int, bool]:
        """Behind how many blocks the conditioning is taken, and whether the final norm follows.

        A stop that would lie before the first block is none, as ComfyUI has it.
        """
        layer = self.facts.layer if stop_at is None else stop_at
        if layer is None or -layer > self._depth:
            return self._depth, True
        return self._depth + 1 + layer, self.facts.norms_hidden

    def _lacks_projection(self) -> bool:
        return self.facts.openclip and self.model.text_projection is None

    def _row(self, tokens: Sequence[Token]) -> tuple[Tensor, int]:
        """The vectors (77, W) of a chunk, and the place of its end.

        A textual inversion of another width is left out; padding behind makes up for it.
        """
        fitting = [token for token in tokens if isinstance(token, int) or self._fits(token)]
        fitting += [self.facts.pad_token] * (len(tokens) - len(fitting))
        numbers = [token if isinstance(token, int) else 0 for token in fitting]
        vectors = self.model.token_vectors(torch.tensor(numbers, device=self.device))
        inversions = {place: token for place, token in enumerate(fitting) if not isinstance(token, int)}
        for place, vector in inversions.items():
            vectors[place] = vector.to(vectors)
        end = [token for token in fitting if isinstance(token, int)].index(END_TOKEN) + len(inversions)
        return vectors, end

    def _fits(self, vector: Tensor) -> bool:
        fits = len(vector) == self.model.width
        if not fits:
            _log.warning(
                "an embedding is %d wide, expected %d for %s: ignored", len(vector), self.model.width, self.facts.key
            )
        return fits


def _depth(model: ClipText) -> int:
    """The blocks that clip skip counts: diffusers drops the last one of OpenCLIP-H, since SD 2.x does not read it."""
    depth = len(model.encoder.layers)
    is_cut = model.width == _OPENCLIP_H_WIDTH and depth == _OPENCLIP_H_DEPTH - 1
    return _OPENCLIP_H_DEPTH if is_cut else depth
