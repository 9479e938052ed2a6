"""What each family keeps of CLIP in its checkpoints and takes from it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runtime.diffusion.clip import Activation, gelu, quick_gelu
from runtime.diffusion.family import TextLayout
from runtime.diffusion.openclip import openclip_name
from runtime.diffusion.tokenizer import END_TOKEN


@dataclass(frozen=True, kw_only=True)
class TowerFacts:
    """One CLIP of a family.

    `key` names it where a file holds textual inversions for several. `prefixes` are those that checkpoints use.
    `layer`: the hidden state that is the conditioning, counted from behind (-1 is behind the last block); None is the
    last one behind the final norm. `norms_hidden`: the final norm is applied to the others too. `pools`: the pooled
    vector is the family's; OpenCLIP's is projected, `needs_projection` says that there is no doing without.
    """

    key: str
    prefixes: tuple[str, ...]
    openclip: bool
    pad_token: int
    layer: int | None
    norms_hidden: bool
    pools: bool = True
    needs_projection: bool = False

    @property
    def activation(self) -> Activation:
        return gelu if self.openclip else quick_gelu

    def file_name(self, parameter: str) -> str:
        """What a checkpoint calls a parameter of `ClipText`, behind the prefix."""
        return openclip_name(parameter) if self.openclip else parameter


def _clip_l(*prefixes: str, layer: int | None, norms_hidden: bool, pools: bool) -> TowerFacts:
    return TowerFacts(
        key="clip_l",
        prefixes=prefixes,
        openclip=False,
        pad_token=END_TOKEN,
        layer=layer,
        norms_hidden=norms_hidden,
        pools=pools,
    )


def _clip_g(prefix: str) -> TowerFacts:
    return TowerFacts(
        key="clip_g",
        prefixes=(prefix,),
        openclip=True,
        pad_token=0,
        layer=-2,
        norms_hidden=False,
        needs_projection=True,
    )


TOWERS: Mapping[TextLayout, tuple[TowerFacts, ...]] = MappingProxyType(
    {
        TextLayout.CLIP_L: (
            _clip_l(
                "cond_stage_model.transformer.text_model.",
                "cond_stage_model.transformer.",  # as some early conversions have it
                layer=None,
                norms_hidden=True,
                pools=True,
            ),
        ),
        TextLayout.OPENCLIP_H: (
            TowerFacts(
                key="clip_h",
                prefixes=("cond_stage_model.model.", "conditioner.embedders.0.model."),
                openclip=True,
                pad_token=0,
                layer=-2,
                norms_hidden=True,
            ),
        ),
        TextLayout.CLIP_L_OPENCLIP_G: (
            _clip_l("conditioner.embedders.0.transformer.text_model.", layer=-2, norms_hidden=False, pools=False),
            _clip_g("conditioner.embedders.1.model."),
        ),
        TextLayout.OPENCLIP_G: (_clip_g("conditioner.embedders.0.model."),),
    }
)
"""The towers of each layout, in the order in which their widths are joined."""
