"""Textual inversions: vectors that stand for a name in a prompt (Gal et al. 2022, arXiv:2208.01618)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Embeddings = Callable[[str], "Tensor | Mapping[str, Any] | None"]
"""Finds an embedding by its name in a prompt: one tensor, or all that a file holds, or None where there is none."""

_log = logging.getLogger(__name__)


def no_embeddings(name: str) -> None:
    """The resolver of an encoder that was given none."""


def invert(text: str, *, embeddings: Embeddings, key: str) -> tuple[Tensor | None, str]:
    """The vectors (N, W) of the embedding that `text` begins with, and the text behind its name.

    A name that is not found is tried without its commas, which then lead the text that is left. An embedding that
    does not exist is ignored with a warning. `key` names the encoder in files for several: clip_l, clip_g, clip_h.
    """
    name, *rest = text.split() or [""]
    behind = " ".join(rest)
    found = embeddings(name) if name else None
    bare = name.strip(",")
    if found is None and bare != name:
        behind = f"{name[len(bare) :]} {behind}"
        found = embeddings(bare) if bare else None
    vectors = None if found is None else _vectors(found, key)
    if vectors is None:
        _log.warning("the prompt names the embedding %r, which does not exist: ignored", name)
    return vectors, behind


def _vectors(found: Tensor | Mapping[str, Any], key: str) -> Tensor | None:
    """(N, W) out of one tensor (N, W) or (W,), or out of a file's entries; None where there is no such tensor."""
    tensor = _pick(found, key) if isinstance(found, Mapping) else found
    return None if tensor is None or tensor.ndim == 0 else tensor.reshape(-1, tensor.shape[-1])


def _pick(entries: Mapping[str, Any], key: str) -> Tensor | None:
    """A1111's `string_to_param`, the encoder's own key, what a LoRA bundles, else the first tensor."""
    if isinstance(nested := entries.get("string_to_param"), Mapping):
        entries = nested
    tensors = {name: entry for name, entry in entries.items() if isinstance(entry, Tensor)}
    if key in tensors:
        return tensors[key]
    for suffix in (".string_to_param.*", f".{key}"):
        bundled = [tensors[name] for name in tensors if name.startswith("bundle_emb.") and name.endswith(suffix)]
        if bundled:
            return torch.cat(bundled)
    return next(iter(tensors.values()), None)
