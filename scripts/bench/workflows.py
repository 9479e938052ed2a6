"""The graphs that are measured."""

from __future__ import annotations

from typing import Any

Workflow = dict[str, dict[str, Any]]


def empty_image(colour: int, size: int = 64) -> Workflow:
    """`EmptyImage` to `SaveImage`; another colour each time, so that nothing comes from a cache."""
    return {
        "empty": {
            "class_type": "EmptyImage",
            "inputs": {"width": size, "height": size, "batch_size": 1, "color": colour},
        },
        "save": {"class_type": "SaveImage", "inputs": {"images": ["empty", 0], "filename_prefix": "bench"}},
    }


def invert_chain(length: int, colour: int) -> Workflow:
    """`length` times `ImageInvert` on 8x8 pixels, then `SaveImage`."""
    workflow = empty_image(colour, size=8)
    for place in range(length):
        source = str(place - 1) if place else "empty"
        workflow[str(place)] = {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}
    workflow["save"]["inputs"]["images"] = [str(length - 1), 0]
    return workflow


def text_to_image(size: int, steps: int, seed: int = 1) -> Workflow:
    """`sd1_mini` by `euler`, from two prompts to a saved picture."""
    return {
        "ckpt": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd1_mini.safetensors"}},
        "pos": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red circle", "clip": ["ckpt", 1]}},
        "neg": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["ckpt", 1]}},
        "lat": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 1}},
        "ks": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["ckpt", 0],
                "positive": ["pos", 0],
                "negative": ["neg", 0],
                "latent_image": ["lat", 0],
                "seed": seed,
                "steps": steps,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "dec": {"class_type": "VAEDecode", "inputs": {"samples": ["ks", 0], "vae": ["ckpt", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["dec", 0], "filename_prefix": "bench"}},
    }
