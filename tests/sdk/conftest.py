from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from moto.server import ThreadedMotoServer

from runtime.api.build import build_api
from runtime.aws import AwsAccess
from runtime.settings import Settings


@contextmanager
def served(**env: str) -> Iterator[str]:
    """The address of a deployment by these variables."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings.from_env({"DEVICE": "cpu", "PUBLIC_URL": address, **env})
    server = uvicorn.Server(uvicorn.Config(build_api(settings), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield address
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, mini_models: Path) -> Iterator[str]:
    """The address of a deployment that runs jobs and asks for no token."""
    with served(STORAGE_BASE_PATH=str(tmp_path_factory.mktemp("sdk")), MODELS_PATH=str(mini_models)) as address:
        yield address


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a deployment that keeps files in a bucket, and that of the bucket."""
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"BUCKET_ACCESS_KEY_ID": "id", "BUCKET_SECRET_ACCESS_KEY": "secret"}
    access = AwsAccess(region="us-east-1", endpoint_url=endpoint, access_key_id="id", secret_access_key="secret")
    access.session.client("s3", endpoint_url=endpoint).create_bucket(Bucket="pictures")
    folder = str(tmp_path_factory.mktemp("bucket"))
    names = {"S3_BUCKET": "pictures", "S3_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    with served(STORAGE_BASE_PATH=folder, **names, **keys) as address:
        yield address, f"{endpoint}/pictures"
    s3.stop()


@pytest.fixture
def workflow() -> dict[str, Any]:
    """One picture of one colour, from nodes that have titles."""
    color = {"width": 16, "height": 8, "batch_size": 1, "color": 0}
    return {
        "1": {"class_type": "EmptyImage", "inputs": color, "_meta": {"title": "The Colour"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
