"""The model files that nodes name: ComfyUI keeps what it read by the name, also when another file has taken it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.engines.comfyui import internals
from runtime.errors import ModelMissing
from runtime.models.file_identity import identity_of

MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
_LONGEST_NAME = 255


class ModelFiles:
    """What every model file was at the last look. `replaced` is called when one has become another."""

    def __init__(self, folder_paths: Any, replaced: Callable[[], None]) -> None:
        self._folder_paths = folder_paths
        self._replaced = replaced
        self._seen: dict[Path, str] = {}

    def identity(self, name: str) -> str | None:
        """What changes with the files that `name` may stand for, in whatever kind of folder; None where it has none."""
        if not name.lower().endswith(MODEL_SUFFIXES) or len(name.encode(errors="replace")) > _LONGEST_NAME:
            return None
        found = [self._look(path) for path in internals.model_paths(self._folder_paths, name)]
        return " ".join(found) or None

    def _look(self, path: Path) -> str:
        try:
            identity = identity_of(path)
        except ModelMissing:  # it went away since it was found: its node says so
            identity = "gone"
        if self._seen.setdefault(path, identity) != identity:
            self._seen[path] = identity
            self._replaced()
        return identity
