"""Builds the workflows of the parity cases: nodes by id, and the two shapes that most cases have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.parity.case_file import Case, Link

ASTRONAUT = "a photograph of an astronaut riding a horse"
BLURRY = "blurry, low quality"


class Graph:
    """A workflow in API format under construction; an input that is a (node id, output index) pair is a link."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def add(self, node_id: str, /, class_type: str, **inputs: Any) -> Graph:
        """Add a node, or put it in the place of the one with that id, and answer the graph."""
        self.nodes[node_id] = {"class_type": class_type, "inputs": inputs}
        return self

    def set(self, node_id: str, **inputs: Any) -> Graph:
        """Change inputs of a node and answer the graph."""
        self.nodes[node_id]["inputs"].update(inputs)
        return self

    def case(self, name: str, capture: Mapping[str, Link]) -> Case:
        """The case `name` that keeps the value of each link of `capture` under its label."""
        return Case(name=name, workflow=self.nodes, capture=dict(capture))


def encoded(checkpoint: str = "sd1_mini", *, positive: str = ASTRONAUT, negative: str = BLURRY) -> Graph:
    """A checkpoint `ckpt` and two prompts, `pos` and `neg`."""
    return (
        Graph()
        .add("ckpt", "CheckpointLoaderSimple", ckpt_name=f"{checkpoint}.safetensors")
        .add("pos", "CLIPTextEncode", text=positive, clip=("ckpt", 1))
        .add("neg", "CLIPTextEncode", text=negative, clip=("ckpt", 1))
    )


def to_latent(graph: Graph, *, size: tuple[int, int] = (64, 64), batch: int = 1, **sampling: Any) -> Graph:
    """Sample an empty latent `lat` of `size` (width, height) in pixels by KSampler `ks`, and save it."""
    width, height = size
    return (
        graph.add("lat", "EmptyLatentImage", width=width, height=height, batch_size=batch)
        .add("ks", "KSampler", **_ksampler(**sampling))
        .add("save", "SaveLatent", samples=("ks", 0), filename_prefix="parity")
    )


def to_image(graph: Graph, **sampling: Any) -> Graph:
    """As `to_latent`, but decoded by `dec` and saved as a picture."""
    return show(decode(to_latent(graph, **sampling)), ("dec", 0))


def decode(graph: Graph, samples: Link = ("ks", 0)) -> Graph:
    """Decode `samples` with the checkpoint's own VAE in a node `dec`."""
    return graph.add("dec", "VAEDecode", samples=samples, vae=("ckpt", 2))


def show(graph: Graph, images: Link) -> Graph:
    """Save `images`, so that what they need is executed."""
    return graph.add("save", "SaveImage", images=images, filename_prefix="parity")


def show_masks(graph: Graph, *masks: Link) -> Graph:
    """Preview each of `masks`, so that what they need is executed."""
    for index, mask in enumerate(masks):
        graph.add(f"see{index}", "MaskToImage", mask=mask)
        graph.add(f"preview{index}", "PreviewImage", images=(f"see{index}", 0))
    return graph


def consume_conditioning(graph: Graph, *conditionings: Link) -> Graph:
    """Hand each of `conditionings` to a sampler that has no step to take, and save its latent: they are evaluated."""
    graph.add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    samples: Link = ("lat", 0)
    for index, conditioning in enumerate(conditionings):
        inputs = _ksampler(positive=conditioning, latent_image=samples, denoise=0.0)
        graph.add(f"ks{index}", "KSampler", **inputs)
        samples = (f"ks{index}", 0)
    return graph.add("save", "SaveLatent", samples=samples, filename_prefix="parity")


def consume_sigmas(graph: Graph, *sigmas: Link) -> Graph:
    """Split nothing off the end of each of `sigmas`, hand that to a sampler, and save its latent."""
    graph.add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.add("euler", "KSamplerSelect", sampler_name="euler")
    samples: Link = ("lat", 0)
    for index, schedule in enumerate(sigmas):
        graph.add(f"split{index}", "SplitSigmas", sigmas=schedule, step=10000)
        graph.add(f"ks{index}", "SamplerCustom", **_custom((f"split{index}", 1), samples))
        samples = (f"ks{index}", 0)
    return graph.add("save", "SaveLatent", samples=samples, filename_prefix="parity")


def _ksampler(**chosen: Any) -> dict[str, Any]:
    usual = {
        "model": ("ckpt", 0), "seed": 5, "steps": 4, "cfg": 6.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": ("pos", 0), "negative": ("neg", 0), "latent_image": ("lat", 0), "denoise": 1.0,
    }  # fmt: skip
    return {**usual, **chosen}


def _custom(sigmas: Link, samples: Link) -> dict[str, Any]:
    return {
        "model": ("ckpt", 0), "add_noise": True, "noise_seed": 5, "cfg": 6.0, "positive": ("pos", 0),
        "negative": ("neg", 0), "sampler": ("euler", 0), "sigmas": sigmas, "latent_image": samples,
    }  # fmt: skip
