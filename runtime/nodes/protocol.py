"""What a native node class is given beyond ComfyUI's own node protocol.

A node class follows ComfyUI's protocol: `INPUT_TYPES`, `RETURN_TYPES`, `FUNCTION`, `OUTPUT_NODE`, `INPUT_IS_LIST`,
`OUTPUT_IS_LIST`, `IS_CHANGED`, `VALIDATE_INPUTS`, lazy inputs. Where ComfyUI reads a global (its folders, its
progress hook), a native node names what it needs instead:

- an input whose type is `ModelFiles("checkpoints")` or `InputFiles("image")` is a combo of the names in that folder;
  the engine lists it, checks it and lets the file's content into the node's cache key;
- a hidden input whose type is `CONTEXT` receives a `NodeContext`;
- a class whose result may be larger than what it is given says how large in a static method `PICTURES`, which takes the
  arguments of a call and answers `runtime.nodes.pictures.Pictures`: what is over the limits is refused before memory
  is taken for it.

Values between nodes have ComfyUI's own shapes, so that a node written for it fits in:

    IMAGE         float32 tensor (B, H, W, C), 0..1
    MASK          float32 tensor (B, H, W), 0..1
    LATENT        {"samples": tensor (B, C, H/8, W/8), "noise_mask"?: tensor (B, 1, H, W), "batch_index"?: list[int]}
    CONDITIONING  [[tensor (B, tokens, width), {"pooled_output": tensor (B, width), "area"?, "mask"?, ...}], ...]
    SIGMAS        float32 tensor (steps + 1,)
    MODEL CLIP VAE SAMPLER GUIDER NOISE   the classes of runtime.diffusion
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.models.store import ModelStore

CONTEXT = "CONTEXT"


@dataclass(frozen=True)
class ModelFiles:
    """A combo of the model files in one kind of folder (`checkpoints`, `vae`, `loras`, ...)."""

    folder: str


@dataclass(frozen=True)
class InputFiles:
    """A combo of the job's input files: `image` for pictures, `latent` for saved latents."""

    kind: str


class NodeContext(Protocol):
    """What one node of one job may ask of the worker."""

    @property
    def models(self) -> ModelStore:
        """The models of the volume, loaded once and kept warm between jobs."""

    @property
    def max_pixels(self) -> int:
        """The most pixels (height x width) that one picture may have here."""

    @property
    def png_text(self) -> Mapping[str, str]:
        """The text that a saved file carries: the graph as `prompt`, and what the request gave beside it."""

    def input_path(self, name: str) -> Path:
        """Where the input file `name` lies. Raises InputRejected if it leaves the folder or is not there."""

    def step(self, done: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:
        """Report `done` of `total` steps, and raise Cancelled or TimedOut if the job shall end.

        `preview()` gives the picture so far, (H, W, 3) in 0..1, and is called only when somebody looks.
        """

    def save_images(self, images: Tensor, filename_prefix: str, *, temporary: bool = False) -> Sequence[dict[str, str]]:
        """Hand `images` (B, H, W, C) in 0..1 over for delivery and answer at once with ComfyUI's `ui` entries.

        Encoding and upload run on other threads. A temporary picture is a preview: PreviewImage's.
        """

    def save_file(self, data: bytes, filename_prefix: str, suffix: str, *, kind: str) -> dict[str, str]:
        """Hand a file's bytes over for delivery; `suffix` with its dot, `kind` as in a result's outputs."""
