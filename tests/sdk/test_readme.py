"""The README's snippet of the client, run as it stands but for the address."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of `comfyui-serverless serve`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    env = {
        **os.environ,
        "STORAGE_BASE_PATH": str(tmp_path / "data"),
        "MODELS_PATH": str(ROOT / "models"),
        "DEVICE": "cpu",
    }
    command = [str(Path(sys.executable).with_name("comfyui-serverless")), "serve", "--port", address.rpartition(":")[2]]
    with subprocess.Popen(command, env={**env, "PUBLIC_URL": address}, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert address in process.stderr.readline()
            yield address
        finally:
            process.kill()


def test_the_snippet_saves_a_picture(served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(
        r"```python\n(from comfyui_serverless import Client\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert ADDRESS in snippet
    exec(snippet.replace(ADDRESS, served), {})
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
