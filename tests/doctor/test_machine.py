from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from runtime.doctor import machine
from runtime.doctor.finding import Finding, run
from runtime.settings import Settings


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_torch_as_it_is_pinned_is_ok_and_a_machine_without_a_gpu_is_told_so() -> None:
    torch, gpu = machine.torch_and_gpu(Settings(device="cpu"))
    assert (torch.name, torch.state) == ("torch", "ok")
    assert gpu.state in ("ok", "warning")


def test_a_device_that_is_not_there_is_wrong() -> None:
    assert only(machine.device(Settings(device="cuda:7"))).state == "wrong"


def test_the_volume_is_read_and_its_speed_told(tmp_path: Path) -> None:
    (tmp_path / "large.safetensors").write_bytes(bytes(1 << 20))
    found = only(machine.volume(Settings(models_path=tmp_path)))
    assert found.state == "ok"
    assert "MB/s over 1 MB of large.safetensors" in found.said


@pytest.mark.parametrize(
    ("folder", "state", "mend"), [("nowhere", "wrong", "set COMFYUI_MODELS_PATH"), (".", "warning", "models sync")]
)
def test_a_volume_that_is_not_there_or_empty_says_what_to_do(
    tmp_path: Path, folder: str, state: str, mend: str
) -> None:
    found = only(machine.volume(Settings(models_path=tmp_path / folder)))
    assert found.state == state
    assert mend in found.said


def test_models_that_the_volume_lacks_are_named(tmp_path: Path) -> None:
    manifest = tmp_path / "models_manifest.yaml"
    model = {"name": "a.safetensors", "folder": "checkpoints", "sources": ["file:///x"], "sha256": "0" * 64}
    manifest.write_text(json.dumps({"version": 1, "models": [model]}))
    settings = Settings(models_path=tmp_path / "models", models_manifest=manifest)
    found = only(machine.models(settings))
    assert (found.state, "1 of 1 are not on the volume (checkpoints/a.safetensors)" in found.said) == ("wrong", True)
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints" / "a.safetensors").touch()
    assert only(machine.models(settings)).state == "ok"


def test_a_check_that_raises_is_wrong_and_the_next_is_made() -> None:
    def breaks() -> list[Finding]:
        raise OSError("no such device")

    fine = Finding(name="b", state="ok", said="")
    first, second = run([("a", breaks), ("b", lambda: [fine])])
    assert (first.name, first.state, second) == ("a", "wrong", fine)
    assert "OSError: no such device" in first.said
