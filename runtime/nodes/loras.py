"""Nodes that put a LoRA on a model; the weights that it leaves alone stay shared with the model that is given."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from runtime.errors import ModelCorrupt
from runtime.nodes.inputs import Declared, InputTypes, decimal
from runtime.nodes.protocol import CONTEXT, ModelFiles, NodeContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.diffusion.lora import Lora
    from runtime.diffusion.model import DiffusionModel
    from runtime.diffusion.text_encoder import TextEncoder

    Changeable = TypeVar("Changeable", DiffusionModel, TextEncoder)

_NAMED = 3

_log = logging.getLogger(__name__)


def _strength() -> Declared:
    return decimal(1.0, -100.0, 100.0, 0.01)


class LoraLoader:
    """Model and text encoder with a LoRA of the volume added, each in its own strength."""

    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "load_lora"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "clip": ("CLIP",),
                "lora_name": (ModelFiles("loras"),),
                "strength_model": _strength(),
                "strength_clip": _strength(),
            },
            "hidden": {"context": CONTEXT},
        }

    def load_lora(
        self,
        model: DiffusionModel,
        clip: TextEncoder | None,
        lora_name: str,
        strength_model: float,
        strength_clip: float,
        context: NodeContext,
    ) -> tuple[DiffusionModel, TextEncoder | None]:
        if strength_model == 0 and strength_clip == 0:
            return model, clip
        lora = _lora(lora_name, context)
        clip_layers = [] if clip is None else clip.lora_layers()
        _warn_of_unused(lora_name, lora, [model.lora_layers(), *clip_layers])
        changed_clip = None if clip is None else _with(clip, lora, strength_clip)
        return _with(model, lora, strength_model), changed_clip


class LoraLoaderModelOnly:
    """The model with a LoRA of the volume added; what the LoRA holds for the text encoder is left out."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load_lora_model_only"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "lora_name": (ModelFiles("loras"),),
                "strength_model": _strength(),
            },
            "hidden": {"context": CONTEXT},
        }

    def load_lora_model_only(
        self, model: DiffusionModel, lora_name: str, strength_model: float, context: NodeContext
    ) -> tuple[DiffusionModel]:
        changed, _ = LoraLoader().load_lora(model, None, lora_name, strength_model, 0.0, context)
        return (changed,)


def _lora(name: str, context: NodeContext) -> Lora:
    """The LoRA in the file `name`. Raises ModelCorrupt with that name, and what ModelStore.lora does."""
    from runtime.diffusion.lora import Lora

    tensors = context.models.lora(name)
    try:
        return Lora(tensors, name=name)
    except ModelCorrupt as exc:
        raise ModelCorrupt(f"{name}: {exc.message}") from exc


def _with(part: Changeable, lora: Lora, strength: float) -> Changeable:
    """`part` with the LoRA on it; itself where the strength is 0."""
    return part if strength == 0 else part.with_lora(lora, strength)


def _warn_of_unused(name: str, lora: Lora, layers: Sequence[Mapping[str, str]]) -> None:
    """One line about what in the file names nothing in any of the models."""
    unused = lora.unused({layer for known in layers for layer in known})
    if unused:
        some = ", ".join(unused[:_NAMED]) + (", ..." if len(unused) > _NAMED else "")
        _log.warning("%s: %d of its layers are in none of the given models and left out: %s", name, len(unused), some)


NODE_CLASS_MAPPINGS: dict[str, type] = {"LoraLoader": LoraLoader, "LoraLoaderModelOnly": LoraLoaderModelOnly}
NODE_DISPLAY_NAME_MAPPINGS = {"LoraLoader": "Load LoRA"}
