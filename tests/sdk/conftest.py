from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from runtime.api.build import build_api
from runtime.settings import Settings


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, mini_models: Path) -> Iterator[str]:
    """The address of a deployment that runs jobs and asks for no token."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    env = {
        "STORAGE_BASE_PATH": str(tmp_path_factory.mktemp("sdk")),
        "MODELS_PATH": str(mini_models),
        "DEVICE": "cpu",
        "PUBLIC_URL": address,
    }
    server = uvicorn.Server(uvicorn.Config(build_api(Settings.from_env(env)), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield address
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def workflow() -> dict[str, Any]:
    """One picture of one colour, from nodes that have titles."""
    color = {"width": 16, "height": 8, "batch_size": 1, "color": 0}
    return {
        "1": {"class_type": "EmptyImage", "inputs": color, "_meta": {"title": "The Colour"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
