"""The names that ControlNets have in their files, as those of the first implementation.

Sources: github.com/lllyasviel/ControlNet:cldm/cldm.py, github.com/huggingface/diffusers:models/controlnets.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

_PREFIX = "control_model."
_DIFFUSERS_MARK = "controlnet_cond_embedding.conv_in.weight"

_DIFFUSERS_ENDS: Mapping[str, str] = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_mid_block": "middle_block_out.0",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_RESIDUAL_PARTS: Mapping[str, str] = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_IN_LEVEL = re.compile(r"^down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.(.+)$")
_RESIDUAL = re.compile(r"^((?:input_blocks\.\d+|middle_block)\.\d+)\.(\w+)\.(weight|bias)$")


def plain_names(stored: Iterable[str]) -> dict[str, str]:
    """The first implementation's name -> the name in the file; what is of neither form stays as it is."""
    stored = list(stored)
    if _DIFFUSERS_MARK in stored:
        return _from_diffusers(stored)
    if any(name.startswith(_PREFIX) for name in stored):
        return {name.removeprefix(_PREFIX): name for name in stored if name.startswith(_PREFIX)}
    return {name: name for name in stored}


def _from_diffusers(stored: list[str]) -> dict[str, str]:
    levels, hints = _level_places(stored), _count(stored, r"^controlnet_cond_embedding\.blocks\.(\d+)\.")
    return {_renamed(name, levels, hints): name for name in stored}


def _renamed(name: str, levels: Mapping[int, int], hints: int) -> str:
    path, _, leaf = name.rpartition(".")
    if match := _IN_LEVEL.match(name):
        path = _in_level(int(match[1]), match[2], int(match[3]), levels)
        plain = f"{path}.{match[4].removeprefix('conv.') if match[2] == 'downsamplers' else match[4]}"
    elif match := re.match(r"^controlnet_cond_embedding\.blocks\.(\d+)$", path):
        plain = f"input_hint_block.{2 * int(match[1]) + 2}.{leaf}"
    elif path == "controlnet_cond_embedding.conv_out":
        plain = f"input_hint_block.{2 * hints + 2}.{leaf}"
    elif match := re.match(r"^controlnet_down_blocks\.(\d+)$", path):
        plain = f"zero_convs.{match[1]}.0.{leaf}"
    else:
        end = next((end for end in _DIFFUSERS_ENDS if name.startswith(f"{end}.")), None)
        plain = name if end is None else _DIFFUSERS_ENDS[end] + name[len(end) :]
    return _RESIDUAL.sub(lambda found: f"{found[1]}.{_RESIDUAL_PARTS.get(found[2], found[2])}.{found[3]}", plain)


def _in_level(level: int, kind: str, number: int, levels: Mapping[int, int]) -> str:
    """Where a part of diffusers' level stands among the input blocks."""
    if kind == "downsamplers":
        return f"input_blocks.{levels[level + 1] - 1}.0.op"
    return f"input_blocks.{levels[level] + number}.{0 if kind == 'resnets' else 1}"


def _level_places(stored: Iterable[str]) -> dict[int, int]:
    """The number of each level's first input block, and of what would come behind the last level."""
    blocks: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    for name in stored:
        if (match := _IN_LEVEL.match(name)) and match[2] != "attentions":
            blocks[int(match[1])].add((match[2], match[3]))
    places, place = {0: 1}, 1
    for level in range(max(blocks, default=-1) + 1):
        place += len(blocks[level])
        places[level + 1] = place
    return places


def _count(names: Iterable[str], pattern: str) -> int:
    return len({match[1] for name in names if (match := re.match(pattern, name))})
