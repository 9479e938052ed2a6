"""OpenCLIP's names for the text transformer's tensors (mlfoundations/open_clip: src/open_clip/transformer.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_NAMES = {
    "embeddings.token_embedding.": "token_embedding.",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.": "ln_final.",
    "text_projection.weight": "text_projection",
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.out_proj.": "attn.out_proj.",
}
_NAME = re.compile("|".join(map(re.escape, _NAMES)))
_THIRD = re.compile(r"self_attn\.([qkv])_proj\.(weight|bias)")


def openclip_name(parameter: str) -> str:
    """OpenCLIP's name for a parameter of `ClipText`; a third of a fused projection is `...in_proj_weight[q]`."""
    return _NAME.sub(lambda match: _NAMES[match[0]], _THIRD.sub(r"attn.in_proj_\2[\1]", parameter))


def with_views(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` by OpenCLIP's names, with views of those that OpenCLIP keeps otherwise than `ClipText`.

    The fused query, key and value (3 W, ...) become three. The text projection (W, P) becomes a linear layer's weight
    (P, W), as which some files have it already, under the name `text_projection.weight`.
    """
    views = dict(tensors)
    for name, tensor in tensors.items():
        if ".attn.in_proj_" in name and tensor.ndim:
            views.update(zip((f"{name}[{part}]" for part in "qkv"), tensor.tensor_split(3), strict=True))
    if (projection := tensors.get("text_projection")) is not None and projection.ndim == 2:
        views["text_projection"] = projection.t()
    elif "text_projection.weight" in tensors:
        views["text_projection"] = tensors["text_projection.weight"]
    return views
