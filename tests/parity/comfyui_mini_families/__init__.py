"""A ComfyUI custom node package that teaches a checkout the mini checkpoints' sizes.

ComfyUI tells a model family by its exact widths, so it does not know the mini files as they stand. Link this folder
into `custom_nodes/`. It adds no nodes. Written for 0.3.64.
"""

from typing import ClassVar

import comfy.sd
import comfy.sdxl_clip
import comfy.supported_models as families

CLIP_L = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "num_hidden_layers": 3}
OPEN_CLIP = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2, "num_hidden_layers": 3}
TEXT_ENCODERS = {"clip_l_model_config": CLIP_L, "clip_g_model_config": OPEN_CLIP, "clip_h_model_config": OPEN_CLIP}
VAE_CONFIG = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}
FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"
VAE_FIRST_CONV = "encoder.conv_in.weight"
FULL_WIDTH = 128


class MiniSD15(families.SD15):
    unet_config: ClassVar = {**families.SD15.unet_config, "context_dim": 64, "model_channels": 32}


class MiniSD20(families.SD20):
    unet_config: ClassVar = {**families.SD20.unet_config, "context_dim": 128, "model_channels": 64}


class MiniSDXL(families.SDXL):
    unet_config: ClassVar = {
        **families.SDXL.unet_config,
        "context_dim": 192,
        "model_channels": 32,
        "transformer_depth": [0, 0, 1, 1, 2, 2],
        "adm_in_channels": 1664,
    }


class MiniSDXLRefiner(families.SDXLRefiner):
    unet_config: ClassVar = {
        **families.SDXLRefiner.unet_config,
        "context_dim": 128,
        "model_channels": 32,
        "transformer_depth": [0, 0, 2, 2, 2, 2, 0, 0],
        "adm_in_channels": 1408,
    }


class MiniVAE(comfy.sd.VAE):
    """ComfyUI's VAE, told its widths where the weights are narrower than every real one's."""

    def __init__(self, sd=None, device=None, config=None, dtype=None, metadata=None):
        if config is None and sd and VAE_FIRST_CONV in sd and sd[VAE_FIRST_CONV].shape[0] < FULL_WIDTH:
            config = {"params": {"ddconfig": VAE_CONFIG, "embed_dim": 4}}
        super().__init__(sd=sd, device=device, config=config, dtype=dtype, metadata=metadata)


def load_clip(self, sd):
    """Tell CLIP-G from CLIP-L by its text projection: the mini ones have too few layers for ComfyUI's own test."""
    is_g = any(name.endswith(("text_projection", "text_projection.weight")) for name in sd)
    return (self.clip_g if is_g else self.clip_l).load_sd(sd)


def guess_config(sd, *args, **kwargs):
    if FIRST_CONV not in sd or sd[FIRST_CONV].shape[0] > 64:
        return original_guess_config(sd, *args, **kwargs)
    kwargs["te_model_options"] = TEXT_ENCODERS
    original_load, comfy.sdxl_clip.SDXLClipModel.load_sd = comfy.sdxl_clip.SDXLClipModel.load_sd, load_clip
    try:
        return original_guess_config(sd, *args, **kwargs)
    finally:
        comfy.sdxl_clip.SDXLClipModel.load_sd = original_load


families.models[:0] = [MiniSD15, MiniSD20, MiniSDXL, MiniSDXLRefiner]
comfy.sd.VAE = MiniVAE
original_guess_config = comfy.sd.load_state_dict_guess_config
comfy.sd.load_state_dict_guess_config = guess_config
NODE_CLASS_MAPPINGS = {}
