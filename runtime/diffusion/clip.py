"""The text transformer of CLIP (Radford et al. 2021, arXiv:2103.00020, section 2.4), under transformers' names.

It computes in float32 whatever dtype its weights are kept in, as ComfyUI does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion import layers

POSITIONS = 77
HEAD_CHANNELS = 64

Activation = Callable[[Tensor], Tensor]


def quick_gelu(x: Tensor) -> Tensor:
    """GELU by a sigmoid (Hendrycks & Gimpel 2016, arXiv:1606.08415), OpenAI's CLIP's."""
    return x * torch.sigmoid(1.702 * x)


def gelu(x: Tensor) -> Tensor:
    """Exact GELU, OpenCLIP's."""
    return F.gelu(x)


@dataclass(frozen=True, kw_only=True)
class ClipSize:
    """The sizes of one text transformer; `projection` is how wide its pooled vector is projected, None for not."""

    tokens: int
    width: int
    depth: int
    inner: int
    projection: int | None = None


class Linear(layers.Linear):
    """A linear layer that computes in its input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)


class LayerNorm(layers.LayerNorm):
    """A layer norm that computes in its input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Causal multi-head self-attention over (B, T, W), 64 channels a head."""

    __call__: Callable[..., Tensor]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj = Linear(width, width)
        self.k_proj = Linear(width, width)
        self.v_proj = Linear(width, width)
        self.out_proj = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (_heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def _heads(x: Tensor) -> Tensor:
    """From (B, T, W) to (B, W / 64, T, 64)."""
    return x.view(*x.shape[:2], -1, HEAD_CHANNELS).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with an activation between, over (B, T, W)."""

    __call__: Callable[..., Tensor]

    def __init__(self, width: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.fc1 = Linear(width, inner)
        self.fc2 = Linear(inner, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class Block(nn.Module):
    """Attention and feed-forward, each normed before and added after."""

    __call__: Callable[..., Tensor]

    def __init__(self, size: ClipSize, activation: Activation) -> None:
        super().__init__()
        self.layer_norm1 = LayerNorm(size.width)
        self.self_attn = Attention(size.width)
        self.layer_norm2 = LayerNorm(size.width)
        self.mlp = FeedForward(size.width, size.inner, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embedding(nn.Module):
    """Rows of a table, without weights until a file gives them."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width, device="meta"), requires_grad=False)


class Embeddings(nn.Module):
    """What a token is and where it stands."""

    def __init__(self, size: ClipSize) -> None:
        super().__init__()
        self.token_embedding = Embedding(size.tokens, size.width)
        self.position_embedding = Embedding(POSITIONS, size.width)


class Encoder(nn.Module):
    """The blocks, under the name that transformers gives their list."""

    def __init__(self, size: ClipSize, activation: Activation) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(size, activation) for _ in range(size.depth))


class ClipText(nn.Module):
    """The whole transformer: (B, 77, W) token vectors in, a hidden state (B, 77, W) and a pooled vector (B, P) out."""

    def __init__(self, size: ClipSize, activation: Activation) -> None:
        super().__init__()
        self.embeddings = Embeddings(size)
        self.encoder = Encoder(size, activation)
        self.final_layer_norm = LayerNorm(size.width)
        self.text_projection = None if size.projection is None else Linear(size.width, size.projection, bias=False)

    @property
    def width(self) -> int:
        return self.embeddings.token_embedding.weight.shape[1]

    def token_vectors(self, tokens: Tensor) -> Tensor:
        """(N,) token numbers -> (N, W) float32."""
        return F.embedding(tokens, self.embeddings.token_embedding.weight).float()

    def hidden(self, vectors: Tensor, *, blocks: int) -> Tensor:
        """The state behind the first `blocks` blocks, from token vectors (B, 77, W)."""
        return self.run(vectors + self.embeddings.position_embedding.weight.float(), 0, blocks)

    def run(self, x: Tensor, first: int, last: int) -> Tensor:
        """(B, 77, W) through the blocks from `first` up to and without `last`."""
        for block in self.encoder.layers[first:last]:
            x = block(x)
        return x

    def project(self, pooled: Tensor) -> Tensor:
        """(B, W) -> (B, P) where CLIP projects its pooled vector, else as it is."""
        return pooled if self.text_projection is None else self.text_projection(pooled)
