"""Nodes that take models from the volume; the worker keeps them warm between jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import InputTypes
from runtime.nodes.protocol import CONTEXT, ModelFiles, NodeContext

if TYPE_CHECKING:
    from runtime.diffusion.model import DiffusionModel
    from runtime.diffusion.text_encoder import TextEncoder
    from runtime.diffusion.vae import Autoencoder


class CheckpointLoaderSimple:
    """The diffusion model, text encoder and VAE of a checkpoint; the last two are None where it has none."""

    RETURN_TYPES = ("MODEL", "CLIP", "VAE")
    FUNCTION = "load_checkpoint"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"ckpt_name": (ModelFiles("checkpoints"),)}, "hidden": {"context": CONTEXT}}

    def load_checkpoint(
        self, ckpt_name: str, context: NodeContext
    ) -> tuple[DiffusionModel, TextEncoder | None, Autoencoder | None]:
        checkpoint = context.models.checkpoint(ckpt_name)
        return checkpoint.model, checkpoint.clip, checkpoint.vae


class VAELoader:
    """A VAE of its own file."""

    RETURN_TYPES = ("VAE",)
    FUNCTION = "load_vae"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"vae_name": (ModelFiles("vae"),)}, "hidden": {"context": CONTEXT}}

    def load_vae(self, vae_name: str, context: NodeContext) -> tuple[Autoencoder]:
        return (context.models.vae(vae_name),)


NODE_CLASS_MAPPINGS: dict[str, type] = {"CheckpointLoaderSimple": CheckpointLoaderSimple, "VAELoader": VAELoader}
NODE_DISPLAY_NAME_MAPPINGS = {"CheckpointLoaderSimple": "Load Checkpoint", "VAELoader": "Load VAE"}
