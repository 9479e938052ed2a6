"""What the nodes of one job may ask of the worker: the `NodeContext` of runtime/nodes/protocol.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.engines.previews import Previews
from runtime.engines.protocol import FileOutput, Picture, Run
from runtime.errors import NodeFailed
from runtime.graph.workflow import Graph, Node
from runtime.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from runtime.models.store import ModelStore


class JobContext:
    """One job's side of it: where the graph stands, and what its pictures carry."""

    def __init__(self, run: Run, graph: Graph, models: ModelStore, *, max_pixels: int) -> None:
        self.run = run
        self.models = models
        self.max_pixels = max_pixels
        self._graph = graph
        self._nodes_done = 0
        self._nodes_total = 0
        self._saved: dict[str, int] = {}
        self._previews = Previews(run.previews)

    @cached_property
    def png_text(self) -> Mapping[str, str]:
        """The text chunks of a saved PNG: the graph as `prompt`, and whatever the request gave beside it."""
        texts = {"prompt": json.dumps(self._graph.source)}
        return {**texts, **{name: json.dumps(value) for name, value in self.run.extra_pnginfo.items()}}

    def starting(self, node: Node, done: int, total: int) -> None:
        """Report that `node` runs next. Raises when the job shall end."""
        self._nodes_done, self._nodes_total = done, total
        self.step(node, 0, 0)

    def step(self, node: Node, step: int, steps: int, picture: Callable[[], Tensor] | None = None) -> None:
        """Report a step inside `node`, with a preview of `picture` where one is due. Raises when the job shall end."""
        self.run.flag.check()
        self.run.on_progress(
            Progress(
                node_id=node.id,
                class_type=node.class_type,
                nodes_done=self._nodes_done,
                nodes_total=self._nodes_total,
                step=step,
                steps=steps,
                preview=None if picture is None else self._previews.of(lambda: _image(picture())),
            )
        )

    def next_index(self, node: Node) -> int:
        """The place of the node's next output among its own."""
        index = self._saved.get(node.id, 0)
        self._saved[node.id] = index + 1
        return index

    def save_text(self, node: Node, text: str) -> None:
        """Hand over a text that a node shows."""
        output = FileOutput(
            node_id=node.id,
            index=self.next_index(node),
            filename_prefix=node.class_type,
            suffix=".txt",
            kind="text",
            data=text.encode("utf-8", "replace"),
        )
        self.run.sink.file(output)


class OneNodeContext:
    """One node's side of it."""

    def __init__(self, job: JobContext, node: Node) -> None:
        self._job = job
        self._node = node
        self.models = job.models
        self.node_id = node.id
        self.max_pixels = job.max_pixels

    @property
    def png_text(self) -> Mapping[str, str]:
        """The text that a saved file carries: the graph as `prompt`, and what the request gave beside it."""
        return self._job.png_text

    def input_path(self, name: str) -> Path:
        """Where the input file `name` lies."""
        return self._job.run.files.input_path(name)

    def step(self, done: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:
        """Report `done` of `total` steps, and raise Cancelled or TimedOut if the job shall end."""
        self._job.step(self._node, done, total, preview)

    def save_images(self, images: Tensor, filename_prefix: str, *, temporary: bool = False) -> list[dict[str, str]]:
        """Hand `images` (B, H, W, C) in 0..1 over, rounded down to 8 bits as ComfyUI rounds."""
        if not images.numel():
            where = f"{self._node.class_type} (node {self._node.id})"
            raise NodeFailed(f"{where} is given pictures of {tuple(images.shape)}: there is nothing to save in them")
        pixels = (images * 255.0).clamp_(0, 255).byte().cpu().numpy()
        names = [
            self._job.run.sink.picture(
                Picture(
                    node_id=self._node.id,
                    index=self._job.next_index(self._node),
                    filename_prefix=filename_prefix,
                    pixels=one,
                    png_text=self._job.png_text,
                    temporary=temporary,
                )
            )
            for one in pixels
        ]
        return [_ui_entry(name, "temp" if temporary else "output") for name in names]

    def save_file(self, data: bytes, filename_prefix: str, suffix: str, *, kind: str) -> dict[str, str]:
        """Hand a file's bytes over."""
        output = FileOutput(
            node_id=self._node.id,
            index=self._job.next_index(self._node),
            filename_prefix=filename_prefix,
            suffix=suffix,
            kind=kind,
            data=data,
        )
        return _ui_entry(self._job.run.sink.file(output), "output")


def _image(picture: Tensor) -> Image:
    """(H, W, 3) in 0..1 as a picture of Pillow's."""
    from PIL import Image

    return Image.fromarray((picture * 255.0).byte().cpu().numpy())


def _ui_entry(name: str, folder: str) -> dict[str, str]:
    subfolder, _, filename = name.rpartition("/")
    return {"filename": filename, "subfolder": subfolder, "type": folder}


def hidden_values(hidden: Mapping[str, str], job: JobContext, node: Node, graph: Graph) -> dict[str, Any]:
    """The values of a node's hidden inputs, by the names that ComfyUI gives their kinds."""
    values: dict[str, Any] = {}
    for name, kind in hidden.items():
        if kind == "CONTEXT":
            values[name] = OneNodeContext(job, node)
        elif kind == "PROMPT":
            values[name] = graph.source
        elif kind == "UNIQUE_ID":
            values[name] = node.id
        elif kind == "EXTRA_PNGINFO":
            values[name] = dict(job.run.extra_pnginfo)
        elif kind == "API_KEY_COMFY_ORG":
            values[name] = job.run.api_key_comfy_org
        else:
            values[name] = None
    return values
