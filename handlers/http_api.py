"""The HTTP API: `uvicorn --factory handlers.http_api:create_app`, and what `comfyui-serverless serve` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.api.build import build_api
from runtime.fitness import log_to_stderr
from runtime.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app() -> FastAPI:
    """The app, by the environment's settings, with a worker in this process. Raises SettingsInvalid."""
    settings = Settings.load()
    log_to_stderr(settings)
    return build_api(settings)
