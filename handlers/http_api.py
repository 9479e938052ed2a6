"""The HTTP API: `uvicorn --factory handlers.http_api:create_app`; ComfyUI's own by `create_comfyui_app`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.api.build import build_api
from runtime.fitness import log_to_stderr
from runtime.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp


def create_app() -> FastAPI:
    """The app, by the environment's settings, with a worker in this process. Raises SettingsInvalid."""
    settings = Settings.load()
    log_to_stderr(settings)
    return build_api(settings)


def create_comfyui_app() -> ASGIApp:
    """ComfyUI's own API in the place of ours, by the same settings, for a process and a port of its own.

    Raises SettingsInvalid.
    """
    from runtime.comfyui_api.app import build_comfyui_app
    from runtime.comfyui_api.by_port import InPlace

    api = create_app()
    return InPlace(api, build_comfyui_app(api.state.parts))
