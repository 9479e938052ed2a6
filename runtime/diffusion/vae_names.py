"""The names that a VAE's tensors have in the layout of diffusers, as those of the first implementation."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIFFUSERS_MARK = "decoder.up_blocks."

# In this order, each on what the one before gave (source: github.com/huggingface/diffusers:scripts/).
_RULES: tuple[tuple[str, str], ...] = (
    (r"\bdown_blocks\.(\d+)\.resnets\.(\d+)\.", r"down.\1.block.\2."),
    (r"\bdown_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"\bup_blocks\.(\d+)\.resnets\.(\d+)\.", r"up.\1.block.\2."),
    (r"\bup_blocks\.(\d+)\.upsamplers\.0\.", r"up.\1.upsample."),
    (r"\bmid_block\.resnets\.0\.", "mid.block_1."),
    (r"\bmid_block\.resnets\.1\.", "mid.block_2."),
    (r"\bmid_block\.attentions\.0\.", "mid.attn_1."),
    (r"\battn_1\.group_norm\.", "attn_1.norm."),
    (r"\battn_1\.(?:to_q|query)\.", "attn_1.q."),
    (r"\battn_1\.(?:to_k|key)\.", "attn_1.k."),
    (r"\battn_1\.(?:to_v|value)\.", "attn_1.v."),
    (r"\battn_1\.(?:to_out\.0|proj_attn)\.", "attn_1.proj_out."),
    (r"\bconv_norm_out\.", "norm_out."),
    (r"\bconv_shortcut\.", "nin_shortcut."),
)
_UP = re.compile(r"^decoder\.up\.(\d+)\.")


def original_names(names: Iterable[str]) -> dict[str, str]:
    """The name of the first implementation -> the name in the file; the same where the file is not of diffusers."""
    names = list(names)
    if not any(name.startswith(_DIFFUSERS_MARK) for name in names):
        return {name: name for name in names}
    renamed = {_renamed(name): name for name in names}
    top = max(int(match[1]) for name in renamed if (match := _UP.match(name)))
    # Diffusers numbers the decoder's stages as they run, the first implementation from the pixels inwards.
    return {_UP.sub(lambda match: f"decoder.up.{top - int(match[1])}.", name): old for name, old in renamed.items()}


def _renamed(name: str) -> str:
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name
