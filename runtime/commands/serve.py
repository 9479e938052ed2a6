"""`comfyui-serverless serve`: answers the signed links of the embedded store."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from runtime.artifacts.file_responder import FileResponder
from runtime.artifacts.file_server import FileServer
from runtime.artifacts.local import FolderArtifactStore
from runtime.errors import SettingsInvalid
from runtime.settings import Settings


def main(words: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM. Answers 0 then, 2 where there is nothing to serve or the port is taken."""
    parser = argparse.ArgumentParser(prog="comfyui-serverless serve", description="Serve the links that `run` prints.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on (8000)")
    arguments = parser.parse_args(list(words))
    try:
        settings = Settings.from_env(os.environ)
    except SettingsInvalid as exc:
        return _refuse(exc.message)
    if settings.bucket is not None:
        return _refuse(f"outputs go to the bucket {settings.bucket.name!r}, which answers its own links")
    store = FolderArtifactStore(settings.data_path / "artifacts", base_url=settings.public_url)
    try:
        server = FileServer(FileResponder(store), host=arguments.host, port=arguments.port)
    except OSError as exc:
        return _refuse(f"{arguments.host}:{arguments.port} cannot be listened on: {exc.strerror}; choose a --port")
    with server:
        print(f"serving {settings.data_path} on {server.url}; Ctrl-C ends it", file=sys.stderr, flush=True)
        if settings.public_url.rstrip("/") != server.url:
            print(
                f"links lead to {settings.public_url} (PUBLIC_URL), which must lead here", file=sys.stderr, flush=True
            )
        _until_signalled()
    return 0


def _until_signalled() -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def _refuse(reason: str) -> int:
    print(f"comfyui-serverless serve: {reason}", file=sys.stderr)
    return 2
