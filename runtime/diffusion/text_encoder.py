"""The text encoder of a checkpoint: what a CLIP link carries."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from runtime.diffusion.family import Family
from runtime.diffusion.layers import size_bytes
from runtime.diffusion.lora import Lora
from runtime.diffusion.lora_names import clip_layers
from runtime.diffusion.prompt import Chunk, pack, words
from runtime.diffusion.text_layouts import TOWERS
from runtime.diffusion.textual_inversion import Embeddings, invert, no_embeddings
from runtime.diffusion.tokenizer import ClipTokenizer
from runtime.diffusion.tower import Tower
from runtime.errors import InvalidRequest


class TextEncoder:
    """Turns prompts into conditioning, as ComfyUI does. Cheap to derive from; what is derived shares the weights."""

    def __init__(
        self, towers: Sequence[Tower], *, family: Family, dtype: torch.dtype, embeddings: Embeddings = no_embeddings
    ) -> None:
        self.family = family
        self.dtype = dtype
        self._towers = tuple(towers)
        self._embeddings = embeddings
        self._stop_at: int | None = None
        self._tokenizer = ClipTokenizer()

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        family: Family,
        *,
        device: torch.device,
        dtype: torch.dtype,
        embeddings: Embeddings = no_embeddings,
    ) -> TextEncoder:
        """Build the family's text encoder from the checkpoint's tensors, under the checkpoint's names.

        `dtype` is what the weights are kept in; the computation is in float32. A tensor that has that dtype and
        device is used as it is. Raises ModelCorrupt naming a tensor that is missing or of another shape.
        """
        facts = TOWERS[family.facts.text]
        towers = [Tower.from_tensors(tensors, each, device=device, dtype=dtype) for each in facts]
        return cls(towers, family=family, dtype=dtype, embeddings=embeddings)

    def with_clip_skip(self, stop_at_layer: int) -> TextEncoder:
        """The same encoder, its conditioning taken behind another block: -1 is the last one, -2 the one before."""
        if stop_at_layer >= 0:
            raise InvalidRequest(f"stop_at_clip_layer is {stop_at_layer}, expected -1 or less")
        derived = copy.copy(self)
        derived._stop_at = stop_at_layer
        return derived

    def on(self, device: torch.device) -> TextEncoder:
        """A copy on `device`, as it was loaded: without clip skip and LoRAs."""
        towers = [tower.on(device) for tower in self._towers]
        return TextEncoder(towers, family=self.family, dtype=self.dtype, embeddings=self._embeddings)

    def with_lora(self, lora: Lora, strength: float) -> TextEncoder:
        """An encoder with the changes of `lora` added, `strength` times; it shares the weights that have none.

        A change that does not fit is left out.
        """
        derived = copy.copy(self)
        derived._towers = tuple(
            tower.with_lora(lora, layers, strength)
            for tower, layers in zip(self._towers, self.lora_layers(), strict=True)
        )
        return derived

    def lora_layers(self) -> list[dict[str, str]]:
        """For each encoder, its weights by every name that a LoRA may give their layer."""
        return [
            clip_layers(tower.base, key=tower.facts.key, number=number)
            for number, tower in enumerate(self._towers, start=1)
        ]

    def with_embeddings(self, embeddings: Embeddings) -> TextEncoder:
        """The same encoder, finding textual inversions with `embeddings`."""
        derived = copy.copy(self)
        derived._embeddings = embeddings
        return derived

    def encode(self, text: str) -> tuple[Tensor, Tensor | None]:
        """The conditioning (1, tokens, width) and the pooled vector (1, width), float32 on the CPU.

        None for the pooled vector where the checkpoint lacks what it takes (SD 2.x without its projection).
        """
        return self._encode([self._chunks(tower, text) for tower in self._towers])

    def encode_pair(self, text_g: str, text_l: str) -> tuple[Tensor, Tensor | None]:
        """As `encode`, with a text for each of SDXL's encoders; empty chunks fill up the shorter of the two.

        The refiner has CLIP-G alone: it reads `text_g`, filled up as beside the other.
        """
        texts = {"clip_l": text_l, "clip_g": text_g}
        if self._towers[-1].facts.key != "clip_g":
            raise InvalidRequest(
                f"a text for CLIP-L and one for CLIP-G need an encoder of SDXL, not {self.family.value}"
            )
        chunks = [self._chunks(tower, texts[tower.facts.key]) for tower in self._towers]
        longest = max(len(self._chunks(self._towers[-1], text)) for text in texts.values())
        for tower, own in zip(self._towers, chunks, strict=True):
            own += self._chunks(tower, "") * (longest - len(own))
        return self._encode(chunks)

    @property
    def device(self) -> torch.device:
        return self._towers[0].device

    @property
    def size_bytes(self) -> int:
        return sum(size_bytes(tower.base) for tower in self._towers)

    def _chunks(self, tower: Tower, text: str) -> list[Chunk]:
        find = partial(invert, embeddings=self._embeddings, key=tower.facts.key)
        return pack(words(text, encode=self._tokenizer.encode, invert=find), pad_token=tower.facts.pad_token)

    @torch.no_grad()
    def _encode(self, chunks: Sequence[Sequence[Chunk]]) -> tuple[Tensor, Tensor | None]:
        """Each tower's chunks through it, side by side on the width, cut to the shorter of them."""
        encoded = [tower.encode(own, stop_at=self._stop_at) for tower, own in zip(self._towers, chunks, strict=True)]
        shortest = min(states.shape[1] for states, _ in encoded)
        joined = torch.cat([states[:, :shortest] for states, _ in encoded], dim=-1)
        pooled = next((vector for _, vector in encoded if vector is not None), None)
        return joined.cpu(), None if pooled is None else pooled.cpu()
