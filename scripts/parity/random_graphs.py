"""Random valid graphs over every native node: any link that fits, the edges of every range, odd sizes, odd batches.

A graph is decided by its seed alone. Sizes, batches and steps are kept small, so that one runs in about a second.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.nodes import node_classes
from runtime.nodes.protocol import InputFiles, ModelFiles
from scripts.parity.case_file import PARITY, Link
from scripts.parity.coverage import FAMILIES
from scripts.parity.random_values import RandomValues

SAMPLING = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
SOURCES = {
    "LATENT": ("EmptyLatentImage", "LoadLatent", "VAEEncode"),
    "IMAGE": ("EmptyImage", "LoadImage", "MaskToImage"),
    "MASK": ("SolidMask", "LoadImageMask", "ImageToMask", "LoadImage"),
    "CONDITIONING": ("CLIPTextEncode",),
    "MODEL": ("CheckpointLoaderSimple",),
    "CLIP": ("CheckpointLoaderSimple",),
    "VAE": ("CheckpointLoaderSimple", "VAELoader"),
    "SIGMAS": ("BasicScheduler", "KarrasScheduler", "VPScheduler"),
    "SAMPLER": ("KSamplerSelect",),
    "GUIDER": ("CFGGuider", "BasicGuider"),
    "NOISE": ("RandomNoise", "DisableNoise"),
    "INT": ("PrimitiveInt",),
    "FLOAT": ("PrimitiveFloat",),
    "STRING": ("PrimitiveString", "PrimitiveStringMultiline"),
    "BOOLEAN": ("PrimitiveBoolean",),
    "UPSCALE_MODEL": ("UpscaleModelLoader",),
    "CONTROL_NET": ("ControlNetLoader",),
}
FILES = {
    "vae": ("vae_mini",),
    "loras": ("sd1_lora_mini", "sd1_lora_diffusers_mini", "sd1_lycoris_mini", "sdxl_lora_mini"),
    "controlnet": ("control_sd1_mini", "control_sdxl_mini"),
    "upscale_models": ("esrgan_old_mini", "realesrgan_x2_mini", "compact_x4_mini"),
}
SCALARS = ("INT", "FLOAT", "STRING", "BOOLEAN")
MOST_SAMPLINGS = 3
NEW_SOURCE = {"MODEL": 0.04, "CLIP": 0.03, "VAE": 0.03}  # a checkpoint is loaded for each
LINKED_SCALAR = 0.08

Workflow = dict[str, dict[str, Any]]


def random_workflow(seed: int, *, nodes: int = 10) -> Workflow:
    """A workflow in API format of about `nodes` nodes, and of those that they need."""
    return RandomGraph(seed).grown(nodes)


class RandomGraph:
    """A graph that grows by random nodes, each fed from what is there already or from a new source."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._values = RandomValues(self._random)
        self._classes: dict[str, Any] = node_classes()
        self._checkpoint = self._random.choice(list(FAMILIES.values()))
        self._made: dict[str, list[Link]] = {}
        self._samplings = 0
        self.nodes: Workflow = {}

    def grown(self, nodes: int) -> Workflow:
        """The workflow once `nodes` more were asked for, every output read by something, some by nothing."""
        names = sorted(self._classes)
        weights = [4.0 if name in SAMPLING else 1.0 for name in names]
        for name in self._random.choices(names, weights, k=nodes):
            if name not in SAMPLING or self._samplings < MOST_SAMPLINGS:
                self.add(name)
        return self.nodes

    def add(self, class_type: str) -> str:
        """Add a node of this class, with whatever feeds it, and answer its id."""
        self._samplings += class_type in SAMPLING
        declared = self._classes[class_type].INPUT_TYPES()
        inputs = {name: self._input(class_type, name, spec) for name, spec in declared.get("required", {}).items()}
        for name, spec in declared.get("optional", {}).items():
            if self._random.random() < 0.6:
                inputs[name] = self._input(class_type, name, spec)
        id = str(len(self.nodes) + 1)
        self.nodes[id] = {"class_type": class_type, "inputs": inputs}
        for place, type_ in enumerate(self._classes[class_type].RETURN_TYPES):
            self._made.setdefault(type_, []).append((id, place))
        return id

    def _input(self, class_type: str, name: str, spec: Sequence[Any]) -> Any:
        type_, options = spec[0], spec[1] if len(spec) > 1 else {}
        if isinstance(type_, ModelFiles | InputFiles):
            return self._file(type_)
        if not isinstance(type_, str):
            return self._random.choice(list(type_))
        if type_ not in SCALARS:
            return list(self._link(type_))
        if self._random.random() < LINKED_SCALAR:
            return self._linked_scalar(class_type, name, type_, options)
        return self._values.value(class_type, name, type_, options)

    def _link(self, type_: str) -> Link:
        made = self._made.get(type_, [])
        if not made or self._random.random() < NEW_SOURCE.get(type_, 0.15):
            id = self.add(self._source(type_))
            made = [link for link in self._made[type_] if link[0] == id]
        # what was made last is what is linked most: graphs grow deep rather than broad
        return made[-1 - min(int(self._random.expovariate(0.7)), len(made) - 1)]

    def _source(self, type_: str) -> str:
        if type_ in ("MODEL", "CLIP", "VAE") and self._random.random() < 0.1:
            self._checkpoint = self._random.choice(list(FAMILIES.values()))
        return self._random.choice(SOURCES[type_])

    def _linked_scalar(self, class_type: str, name: str, type_: str, options: Mapping[str, Any]) -> list[Any]:
        """A primitive whose value suits the input that it feeds."""
        id = self.add(self._random.choice(SOURCES[type_]))
        self.nodes[id]["inputs"]["value"] = self._values.plain(class_type, name, type_, options)
        return [id, 0]

    def _file(self, type_: ModelFiles | InputFiles) -> str:
        if isinstance(type_, InputFiles):
            latents = type_.kind == "latent"
            names = [path.name for path in (PARITY / "input").iterdir() if (path.suffix == ".latent") == latents]
            return self._random.choice(sorted(names))
        if type_.folder == "checkpoints":
            return f"{self._checkpoint}.safetensors"
        return f"{self._random.choice(FILES[type_.folder])}.safetensors"
