"""The README's snippet of the client, run as it stands but for the address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"


def test_the_snippet_saves_a_picture(deployment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(
        r"```python\n(from comfyui_serverless import Client\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert ADDRESS in snippet
    exec(snippet.replace(ADDRESS, deployment), {})
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
