from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.clip import Activation, Attention, ClipSize, ClipText, gelu, quick_gelu

SIZE = ClipSize(tokens=50, width=128, depth=2, inner=256, projection=96)


def _filled(module: nn.Module, dtype: torch.dtype = torch.float32) -> None:
    """Give every parameter values from one generator."""
    generator = torch.Generator().manual_seed(0)
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            values = torch.randn(parameter.shape, generator=generator) * 0.1
            setattr(owner, name, nn.Parameter(values.to(dtype), requires_grad=False))


def _model(dtype: torch.dtype = torch.float32) -> ClipText:
    model = ClipText(SIZE, gelu)
    _filled(model, dtype)
    return model


def test_a_new_model_holds_no_memory() -> None:
    assert all(parameter.is_meta for parameter in ClipText(SIZE, gelu).parameters())


def test_parameters_have_the_names_that_transformers_gives_them() -> None:
    names = {name for name, _ in ClipText(SIZE, gelu).named_parameters()}
    assert {"embeddings.token_embedding.weight", "encoder.layers.1.self_attn.q_proj.bias"} < names
    assert len(names) == 2 + 2 * 16 + 2 + 1


def test_attention_is_torchs_own_causal_multi_head_attention() -> None:
    ours = Attention(128)
    _filled(ours)
    theirs = nn.MultiheadAttention(128, 2, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([p.weight for p in (ours.q_proj, ours.k_proj, ours.v_proj)])
    theirs.in_proj_bias.data = torch.cat([p.bias for p in (ours.q_proj, ours.k_proj, ours.v_proj)])
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    x = torch.randn(2, 9, 128, generator=torch.Generator().manual_seed(1))
    expected, _ = theirs(x, x, x, attn_mask=nn.Transformer.generate_square_subsequent_mask(9), is_causal=True)
    torch.testing.assert_close(ours(x), expected)


def test_no_token_sees_a_later_one() -> None:
    model = _model()
    vectors = torch.randn(1, 77, 128, generator=torch.Generator().manual_seed(1))
    changed = vectors.clone()
    changed[:, 40] = 0
    before, after = (model.hidden(each, blocks=2) for each in (vectors, changed))
    torch.testing.assert_close(before[:, :40], after[:, :40])
    assert not torch.allclose(before[:, 40:], after[:, 40:])


def test_hidden_states_can_be_taken_up_where_they_were_left() -> None:
    model = _model()
    vectors = torch.randn(1, 77, 128, generator=torch.Generator().manual_seed(1))
    whole = model.hidden(vectors, blocks=2)
    torch.testing.assert_close(model.run(model.hidden(vectors, blocks=1), 1, 2), whole)


def test_weights_in_half_precision_are_computed_with_in_float32() -> None:
    model = _model(torch.float16)
    tokens = torch.arange(50).repeat(2)[:77]
    vectors = model.token_vectors(tokens)
    assert vectors.dtype == model.hidden(vectors[None], blocks=2).dtype == torch.float32


def test_what_is_not_projected_is_left_as_it_is() -> None:
    model = ClipText(ClipSize(tokens=50, width=128, depth=1, inner=256), gelu)
    pooled = torch.ones(1, 128)
    assert model.project(pooled) is pooled
    assert _model().project(pooled).shape == (1, 96)


def _quick(x: Tensor) -> Tensor:
    return F.silu(1.702 * x) / 1.702


@pytest.mark.parametrize(("ours", "reference"), [(quick_gelu, _quick), (gelu, F.gelu)], ids=["quick", "exact"])
def test_an_activation_is(ours: Activation, reference: Activation) -> None:
    x = torch.linspace(-4, 4, 50)
    torch.testing.assert_close(ours(x), reference(x))
