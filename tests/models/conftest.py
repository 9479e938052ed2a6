from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write_raw(tmp_path: Path) -> Callable[..., Path]:
    """`write_raw(header)`: a file with this header, an object or the bytes themselves, and 32 bytes of data."""

    def write(header: Any, data: bytes = bytes(range(32)), *, length: int | None = None) -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
        return path

    return write
