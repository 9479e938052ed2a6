from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websocket
from fastapi.testclient import TestClient

from runtime.api.build import build_api
from runtime.comfyui_api.app import build_comfyui_app
from runtime.comfyui_api.by_port import ByPort
from runtime.settings import Settings

SECRET_KEY = "0123456789abcdef0123456789abcdef"


class ComfyClient:
    """A client of ComfyUI as its users write them: urllib, and a websocket that was connected before."""

    def __init__(self, address: str, *, client_id: str | None = None, **headers: str) -> None:
        self.address = address
        self.client_id = client_id or str(uuid.uuid4())
        self.headers = headers
        self.frames: list[bytes] = []
        self.socket = websocket.create_connection(
            f"{address.replace('http', 'ws')}/ws?clientId={self.client_id}", timeout=60, header=headers
        )

    def __enter__(self) -> ComfyClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def ask(self, path: str, body: Any = None) -> Any:
        """The JSON that a call answers; its status where that is an error."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")
        return json.loads(text) if text else None

    def queue(self, prompt: Any, **more: Any) -> str:
        """Queue a prompt; its id."""
        answer = self.ask("/prompt", {"prompt": prompt, "client_id": self.client_id, **more})
        return str(answer["prompt_id"])

    def view(self, name: dict[str, str], **more: str) -> bytes:
        """A file by its three names."""
        url = f"{self.address}/view?{urllib.parse.urlencode({**name, **more})}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=self.headers), timeout=60) as answer:
            data: bytes = answer.read()
        return data

    def receive(self) -> tuple[str, Any]:
        """The next message; binary frames are kept in `frames`."""
        while isinstance(said := self.socket.recv(), bytes):
            self.frames.append(said)
        message = json.loads(said)
        return message["type"], message["data"]

    def until(self, kind: str, **told: Any) -> list[tuple[str, Any]]:
        """The messages up to the first of that kind that tells this."""
        messages = [self.receive()]
        while messages[-1][0] != kind or not told.items() <= messages[-1][1].items():
            messages.append(self.receive())
        return messages

    def run(self, prompt: Any) -> tuple[str, list[tuple[str, Any]]]:
        """Queue a prompt and follow it to its end; its id, and what was told."""
        id = self.queue(prompt)
        return id, self.until("executing", node=None, prompt_id=id)


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory, mini_models: Path) -> Iterator[Callable[..., str]]:
    """`open_server(NAME=value, ...)`: where ComfyUI's API listens of a deployment by these variables."""
    with ExitStack() as life:

        def start(**env: str) -> str:
            listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
            own, comfy = (listener.getsockname()[1] for listener in listeners)
            folder = str(tmp_path_factory.mktemp("comfyui_api"))
            given = {"STORAGE_BASE_PATH": folder, "MODELS_PATH": str(mini_models), "DEVICE": "cpu", **env}
            api = build_api(Settings.from_env({"PUBLIC_URL": f"http://127.0.0.1:{own}", **given}))
            app = ByPort(api, {comfy: build_comfyui_app(api.state.parts)})
            config = uvicorn.Config(app, log_level="error", ws="websockets-sansio", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": listeners})
            thread.start()
            life.callback(thread.join)
            life.callback(setattr, server, "should_exit", True)
            return f"http://127.0.0.1:{comfy}"

        yield start


@pytest.fixture(scope="module")
def address(open_server: Callable[..., str]) -> str:
    """A deployment that asks for no token."""
    return open_server()


@pytest.fixture(scope="session")
def connect() -> Callable[..., ComfyClient]:
    """`connect(address, client_id=..., NAME=value)`: a client of that address; the rest are headers."""
    return ComfyClient


@pytest.fixture
def comfy(address: str) -> Iterator[ComfyClient]:
    """A client of that deployment, as people write them: urllib and a websocket."""
    with ComfyClient(address) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, TestClient]]:
    """The HTTP API of a deployment that asks for tokens, and ComfyUI's API of the same, in this process."""
    folder = tmp_path_factory.mktemp("guarded")
    api = build_api(Settings.from_env({"STORAGE_BASE_PATH": str(folder), "DEVICE": "cpu", "SECRET_KEY": SECRET_KEY}))
    comfyui = build_comfyui_app(api.state.parts)
    with TestClient(api) as own, TestClient(comfyui, raise_server_exceptions=False) as theirs:
        yield own, theirs


@pytest.fixture(scope="module")
def key(guarded: tuple[TestClient, TestClient]) -> Callable[..., str]:
    """`key("ada", "read", ...)`: an API key of that account with these scopes, or with all."""
    known: dict[str, dict[str, str]] = {}

    def make(name: str, *scopes: str) -> str:
        own, _ = guarded
        if name not in known:
            account = {"email": f"{name}@example.org", "password": "correct horse battery"}
            token = own.post("/auth/register", json=account).json()["access_token"]
            known[name] = {"Authorization": f"Bearer {token}"}
        body: dict[str, Any] = {"name": "test", **({"scopes": scopes} if scopes else {})}
        made: str = own.post("/api-keys", json=body, headers=known[name]).json()["key"]
        return made

    return make


def one_colour(color: int = 7, **more: Any) -> dict[str, Any]:
    """A prompt that saves one picture of one colour, and shows it."""
    size = {"width": 8, "height": 8, "batch_size": 1}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI"}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        **more,
    }


@pytest.fixture(scope="session")
def prompt() -> Callable[..., dict[str, Any]]:
    return one_colour


@pytest.fixture(scope="session")
def sampling() -> Callable[..., dict[str, Any]]:
    """`sampling(steps)`: a prompt whose sampler runs that many steps."""

    def make(steps: int, seed: int = 1) -> dict[str, Any]:
        text = {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}}
        ends = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0]}
        how = {"cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
        return {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd1_mini.safetensors"}},
            "2": text,
            "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "4": {"class_type": "KSampler", "inputs": {**ends, **how, "seed": seed, "steps": steps}},
            "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
            "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "sampled"}},
        }

    return make
