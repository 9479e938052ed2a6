"""The tokens that the small world's prompts are made of, out of CLIP's 49,408."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from runtime.diffusion.prompt import pack, words
from runtime.diffusion.tokenizer import END_TOKEN, START_TOKEN, VOCABULARY_SIZE, ClipTokenizer
from scripts.train_demo.prompts import any_prompt
from scripts.train_demo.world import random_scene

_PROMPTS = 6000
_UNKNOWN = 0


class Vocabulary:
    """Maps CLIP's tokens to rows of a small table, and back: row 0 stands for every token that the world lacks."""

    def __init__(self) -> None:
        self._tokenizer = ClipTokenizer()
        rng = random.Random("vocabulary")
        known = {START_TOKEN, END_TOKEN}
        for _ in range(_PROMPTS):
            known.update(self._tokenizer.encode(any_prompt(random_scene(rng, held_out=False), rng)))
        self.tokens: Sequence[int] = sorted(known)
        self._rows = {token: row for row, token in enumerate(self.tokens, start=1)}

    def __len__(self) -> int:
        return len(self.tokens) + 1

    def row(self, token: int) -> int:
        """The row of one of CLIP's tokens."""
        return self._rows.get(token, _UNKNOWN)

    def rows(self, prompt: str, rng: random.Random | None = None) -> list[int]:
        """The 77 rows of a prompt; with `rng`, a few words are taken for unknown ones."""
        (chunk,) = pack(
            words(prompt, encode=self._tokenizer.encode, invert=lambda text: (None, text)), pad_token=END_TOKEN
        )
        rows = [self.row(token) for token in chunk.tokens if isinstance(token, int)]
        if rng is not None and rng.random() < 0.3:
            rows = self._with_strangers(rows, rng)
        return rows

    def _with_strangers(self, rows: list[int], rng: random.Random) -> list[int]:
        """Unknown words put between the others; the padding behind gives way."""
        mixed = [rows[0]]
        end = self._rows[END_TOKEN]
        for row in rows[1:]:
            if row != end and rng.random() < 0.1:
                mixed.append(_UNKNOWN)
            mixed.append(row)
        return mixed[: len(rows)]

    def whole_table(self, table: Tensor) -> Tensor:
        """CLIP's table (49408, W) from the small one (N, W)."""
        whole = table[_UNKNOWN].expand(VOCABULARY_SIZE, -1).clone()
        whole[torch.tensor(self.tokens)] = table[1:]
        return whole
