"""What tests of conversion share: the node types of ComfyUI 0.3.64, and conversion with them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.graph.ui.convert import convert
from runtime.graph.ui.document import read_document

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def object_info() -> dict[str, Any]:
    """The recorded node types of a checkout of 0.3.64 (scripts/ui_reference/record.py)."""
    known: dict[str, Any] = json.loads(gzip.decompress((HERE / "object_info.json.gz").read_bytes()))
    return known


@pytest.fixture(scope="session")
def converted(object_info: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """A workflow of the editor in API format, with the first of every choice, as it was recorded."""

    def of(workflow: Any) -> dict[str, Any]:
        now = datetime(2026, 3, 4, 5, 6, 7)
        return convert(read_document(workflow), object_info, choose=lambda count: 0, now=now, max_nodes=1000)

    return of
