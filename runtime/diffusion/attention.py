"""The transformer that a UNet runs over a feature map, with the prompt's tokens as context.

High-resolution image synthesis with latent diffusion models (Rombach et al. 2022, arXiv:2112.10752), appendix E.2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.layers import Given, GroupNorm, LayerNorm, Linear

_CPU_LANES = 16  # float32 values in a register of 512 bits


class Attention(nn.Module):
    """Multi-head attention of (B, N, channels) over (B, M, context_channels)."""

    __call__: Callable[..., Tensor]

    def __init__(self, *, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = Linear(channels, channels, bias=False)
        self.to_k = Linear(context_channels, channels, bias=False)
        self.to_v = Linear(context_channels, channels, bias=False)
        self.to_out = Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = self._split(self.to_q(x)), self._split(self.to_k(context)), self._split(self.to_v(context))
        return self.to_out(_attend(q, k, v).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """From (B, N, C) to (B, heads, N, C / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(C)) v for q (B, heads, N, C) and k, v (B, heads, M, C).

    A CPU's kernel works on whole vector registers: heads narrower than one go through it a third faster with zeros
    beside them.
    """
    channels = q.shape[-1]
    if q.device.type != "cpu" or channels >= _CPU_LANES:
        return F.scaled_dot_product_attention(q, k, v)
    q, k, v = (F.pad(part, (0, _CPU_LANES - channels)) for part in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=channels**-0.5)[..., :channels]


class FeedForward(nn.Module):
    """A gated linear unit with GELU (Shazeer 2020, arXiv:2002.05202) between (B, N, channels) and itself."""

    __call__: Callable[..., Tensor]

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.widen = Linear(channels, 8 * channels)
        self.narrow = Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.widen(x).chunk(2, dim=-1)
        return self.narrow(value * F.gelu(gate))


class TransformerBlock(nn.Module):
    """Self-attention, attention over the context, feed-forward, each added to what it read."""

    def __init__(self, *, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.attn1 = Attention(channels=channels, context_channels=channels, heads=heads)
        self.norm2 = LayerNorm(channels)
        self.attn2 = Attention(channels=channels, context_channels=context_channels, heads=heads)
        self.norm3 = LayerNorm(channels)
        self.ff = FeedForward(channels=channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        tokens = self.norm1(x)
        x = self.attn1(tokens, tokens).add_(x)
        x = self.attn2(self.norm2(x), context).add_(x)
        return self.ff(self.norm3(x)).add_(x)


class Transformer(nn.Module):
    """`depth` blocks over the places of a feature map (B, channels, h, w), added to it."""

    def __init__(self, *, channels: int, depth: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels, eps=1e-6)
        self.proj_in = Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels=channels, context_channels=context_channels, heads=heads) for _ in range(depth)
        )
        self.proj_out = Linear(channels, channels)

    def forward(self, x: Tensor, given: Given) -> Tensor:
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))  # (B, hw, C)
        for block in self.transformer_blocks:
            tokens = block(tokens, given.context)
        return self.proj_out(tokens).transpose(1, 2).view_as(x).add_(x)
