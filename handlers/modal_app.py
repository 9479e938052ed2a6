"""The Modal app: what `comfyui-serverless deploy modal` deploys, as `modal deploy -m handlers.modal_app` would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import modal

from infra.deploy import modal_parts

if TYPE_CHECKING:
    from fastapi import FastAPI

CONFIG = modal_parts.read_deployment()
app = modal.App(CONFIG.full_name, image=modal_parts.image(CONFIG), tags=modal_parts.tags(CONFIG))


@app.cls(**modal_parts.worker_options(CONFIG))
@modal.concurrent(max_inputs=CONFIG.workers.concurrency)
class Worker:
    """A GPU worker, which starts from a snapshot of its memory where one was taken."""

    @modal.enter(snap=True)
    def prepare(self) -> None:
        from handlers.modal_halves import prepared

        self._snapshot = prepared()

    @modal.enter(snap=False)
    def attach(self) -> None:
        from handlers.modal_halves import attached

        self._gpu = attached(self._snapshot)

    @modal.method()
    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """The result of a request, whatever became of it. Raises HandedBack where the worker is taken away."""
        from handlers.modal_wire import answer

        return answer(self._gpu, request)

    @modal.method()
    def stream(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """`{"progress": ...}` at most once a second, then the result."""
        from handlers.modal_wire import streamed

        yield from streamed(self._gpu, request)

    @modal.exit()
    def close(self) -> None:
        self._gpu.hand_back()
        self._gpu.close()


@app.function(**modal_parts.function_options(CONFIG))
def sync() -> int:
    """Bring the manifest's models onto the volume; the exit status of `models sync`."""
    return modal_parts.sync_volume(CONFIG)


if modal_parts.shares_stores(CONFIG):

    @app.function(**modal_parts.function_options(CONFIG))
    @modal.concurrent(max_inputs=100)
    @modal.asgi_app()
    def web() -> FastAPI:
        """The HTTP API, which sends its jobs to the workers."""
        from handlers.http_api import create_app

        return create_app()

    @app.function(**modal_parts.function_options(CONFIG), schedule=modal.Cron("* * * * *"))
    def sweep() -> dict[str, Any]:
        """Set right what no worker is left to set right."""
        from handlers.sweeper import handle

        return handle({}, None)
