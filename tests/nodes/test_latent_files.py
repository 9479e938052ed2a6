from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from runtime.errors import InputRejected

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]


def test_a_saved_latent_is_loaded_again(call: Call, worker: Any, latent: Latent) -> None:
    answer = call("SaveLatent", samples=latent(batch=2), filename_prefix="mine")
    name, data, kind = worker.files[0]
    (worker.inputs / name).write_bytes(data)
    assert (name, kind) == ("mine.latent", "latent")
    assert answer["ui"]["latents"] == [{"filename": "mine.latent", "subfolder": "", "type": "output"}]
    assert torch.equal(call("LoadLatent", latent=name)[0]["samples"], latent(batch=2)["samples"])


def test_a_saved_latent_carries_its_workflow(call: Call, worker: Any, latent: Latent, tmp_path: Path) -> None:
    prompt: dict[str, Any] = {"1": {"class_type": "X"}}
    extra: dict[str, Any] = {"workflow": {"nodes": []}}
    call("SaveLatent", samples=latent(), filename_prefix="mine", prompt=prompt, extra_pnginfo=extra)
    (tmp_path / "a.latent").write_bytes(worker.files[0][1])
    with safe_open(tmp_path / "a.latent", "pt") as file:
        metadata = file.metadata()
    assert {key: json.loads(text) for key, text in metadata.items()} == {"prompt": prompt, **extra}


def test_a_latent_that_is_a_view_is_saved_whole(call: Call, worker: Any, latent: Latent, tmp_path: Path) -> None:
    turned = {"samples": latent()["samples"].transpose(-1, -2)}
    call("SaveLatent", samples=turned, filename_prefix="mine")
    (tmp_path / "a.latent").write_bytes(worker.files[0][1])
    assert torch.equal(call("LoadLatent", latent="a.latent")[0]["samples"], turned["samples"])


def test_an_older_file_is_brought_to_scale(call: Call, tmp_path: Path) -> None:
    save_file({"latent_tensor": torch.full((1, 4, 2, 2), 0.18215)}, tmp_path / "old.latent")
    samples = call("LoadLatent", latent="old.latent")[0]["samples"]
    torch.testing.assert_close(samples, torch.ones(1, 4, 2, 2))


@pytest.mark.parametrize("data", [b"", b"\x10\0\0\0\0\0\0\0{}", b"a text"], ids=["empty", "truncated", "foreign"])
def test_a_file_that_is_no_latent_is_refused_by_name(data: bytes, call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.latent").write_bytes(data)
    with pytest.raises(InputRejected, match=r"'a\.latent' is no \.latent file: expected safetensors"):
        call("LoadLatent", latent="a.latent")


def test_a_safetensors_file_without_a_latent_is_refused_by_name(call: Call, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "a.latent")
    with pytest.raises(InputRejected, match=r"expected the tensor 'latent_tensor', but it has weight"):
        call("LoadLatent", latent="a.latent")


@pytest.mark.parametrize("shape", [(16,), (1, 4, 0, 8), (0, 4, 8, 8), (1, 4, 1, 8, 8)], ids=str)
def test_a_latent_of_another_shape_is_refused_by_name(shape: tuple[int, ...], call: Call, tmp_path: Path) -> None:
    save_file({"latent_tensor": torch.zeros(shape)}, tmp_path / "a.latent")
    with pytest.raises(InputRejected, match=r"'a\.latent': latent_tensor has the shape"):
        call("LoadLatent", latent="a.latent")


def test_the_message_about_a_latent_is_short_and_does_not_say_where_it_lies(call: Call, tmp_path: Path) -> None:
    save_file({f"{n}{'x' * 200}": torch.zeros(1) for n in range(50)}, tmp_path / "many.latent")
    (tmp_path / "broken.latent").write_bytes(b"\x80\x02")
    for name in ("many.latent", "broken.latent"):
        with pytest.raises(InputRejected) as caught:
            call("LoadLatent", latent=name)
        assert len(caught.value.message) < 700
        assert str(tmp_path) not in caught.value.message
