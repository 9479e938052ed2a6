"""The native node classes, by ComfyUI's class_type."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = (
    "alpha",
    "conditioning",
    "conditioning_area",
    "control",
    "custom_sampling",
    "image",
    "image_files",
    "image_filters",
    "image_quantize",
    "image_scale",
    "inpaint",
    "latent",
    "latent_batch",
    "latent_composite",
    "latent_files",
    "latent_math",
    "latent_transform",
    "loaders",
    "loras",
    "mask",
    "mask_composite",
    "mask_shape",
    "model_patches",
    "primitives",
    "samplers",
    "sampling",
    "schedulers",
    "sigmas",
    "strings",
    "text",
    "upscaling",
    "vae",
)


def node_classes() -> dict[str, type]:
    """Every native node class, by class_type. Imports torch, and nothing of the models that the nodes run."""
    return _merged("NODE_CLASS_MAPPINGS")


def display_names() -> dict[str, str]:
    """The name that a client shows for a class_type, where it is not the class_type itself."""
    return _merged("NODE_DISPLAY_NAME_MAPPINGS")


def _merged(table: str) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for module in _MODULES:
        entries |= getattr(import_module(f"runtime.nodes.{module}"), table)
    return entries
