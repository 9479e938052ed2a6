"""What a node's test needs: a worker that writes down what it is told, and a way to call a node by its class_type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.errors import InputRejected
from runtime.nodes import node_classes

Call = Callable[..., Any]


@dataclass
class WatchedWorker:
    """A NodeContext over a folder of input files that keeps what nodes report and save."""

    inputs: Path
    max_pixels: int = 1_000_000
    models: Any = None
    steps: list[tuple[int, int]] = field(default_factory=list)
    previews: list[Tensor] = field(default_factory=list)
    pictures: list[tuple[str, bool, Tensor]] = field(default_factory=list)
    files: list[tuple[str, bytes, str]] = field(default_factory=list)

    def input_path(self, name: str) -> Path:
        path = self.inputs / name
        if not path.is_file():
            raise InputRejected(f"input {name!r} is not there")
        return path

    def step(self, done: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:
        self.steps.append((done, total))
        if preview is not None:
            self.previews.append(preview())

    def save_images(self, images: Tensor, filename_prefix: str, *, temporary: bool = False) -> list[dict[str, str]]:
        self.pictures.append((filename_prefix, temporary, images))
        folder = "temp" if temporary else "output"
        return [{"filename": f"{filename_prefix}_{n}.png", "subfolder": "", "type": folder} for n in range(len(images))]

    def save_file(self, data: bytes, filename_prefix: str, suffix: str, *, kind: str) -> dict[str, str]:
        self.files.append((filename_prefix + suffix, data, kind))
        return {"filename": filename_prefix + suffix, "subfolder": "", "type": "output"}


@pytest.fixture
def worker(tmp_path: Path) -> WatchedWorker:
    return WatchedWorker(tmp_path)


@pytest.fixture(scope="session")
def classes() -> dict[str, type]:
    return node_classes()


@pytest.fixture
def call(classes: dict[str, type], worker: WatchedWorker) -> Call:
    """`call("ImageInvert", image=image)`: what the node returns, given the worker where it asks for one."""

    def of(class_type: str, **inputs: Any) -> Any:
        node: Any = classes[class_type]
        hidden = node.INPUT_TYPES().get("hidden", {})
        given = {name: worker for name, kind in hidden.items() if kind == "CONTEXT"}
        return getattr(node(), node.FUNCTION)(**inputs, **given)

    return of


@pytest.fixture
def picture() -> Callable[..., Tensor]:
    """`picture(height, width)`: random values in 0..1, (batch, height, width, channels), the same each time."""

    def of(height: int = 6, width: int = 8, *, batch: int = 1, channels: int = 3, seed: int = 0) -> Tensor:
        return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))

    return of


@pytest.fixture
def latent() -> Callable[..., dict[str, Any]]:
    """`latent(height, width)`: a LATENT of random values, (batch, 4, height, width), the same each time."""

    def of(height: int = 6, width: int = 8, *, batch: int = 1, seed: int = 0, **more: Any) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        return {"samples": torch.randn(batch, 4, height, width, generator=generator), **more}

    return of
