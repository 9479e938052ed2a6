from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

Call = Callable[..., Any]


class NamedModels:
    """A model store whose models are their own names."""

    def checkpoint(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(model=f"{name}: model", clip=f"{name}: clip", vae=None)

    def vae(self, name: str) -> str:
        return f"{name}: vae"


def test_a_checkpoint_gives_its_three_models(call: Call, worker: Any) -> None:
    worker.models = NamedModels()
    assert call("CheckpointLoaderSimple", ckpt_name="a.safetensors") == (
        "a.safetensors: model",
        "a.safetensors: clip",
        None,
    )


def test_a_vae_is_loaded_by_itself(call: Call, worker: Any) -> None:
    worker.models = NamedModels()
    assert call("VAELoader", vae_name="b.safetensors") == ("b.safetensors: vae",)
