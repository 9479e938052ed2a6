"""ComfyUI's own API as an ASGI app of its own, upon the parts of the HTTP API."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse

from runtime.api.browser_guard import BrowserGuard
from runtime.api.guards import Guards
from runtime.api.problems import MEDIA_TYPE, headers_of, problem_of
from runtime.comfyui_api.errors import PromptRefused, status_here
from runtime.comfyui_api.page import add_page
from runtime.comfyui_api.parts import ComfyParts
from runtime.comfyui_api.routes import catalogue, files, prompts, socket, system, user
from runtime.errors import Internal, InvalidRequest, ServerlessError

if TYPE_CHECKING:
    from runtime.api.parts import ApiParts

_log = logging.getLogger(__name__)

_FORM_BYTES = 64 << 10
_UPLOADS = ("/upload/image", "/upload/mask")
_LOG_IN = {"WWW-Authenticate": 'Basic realm="ComfyUI Serverless: any name, and an API key", charset="UTF-8"'}


def build_comfyui_app(api: ApiParts) -> FastAPI:
    """The app over `api`, which lives as long as the HTTP API's app does. Every route has a twin under `/api`."""
    app = FastAPI(title="ComfyUI's own API", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.comfyui = ComfyParts.over(api)
    for prefix in ("", "/api"):
        for module in (prompts, files, catalogue, system, user, socket):
            app.include_router(module.router, prefix=prefix)
    add_page(app)
    app.add_exception_handler(PromptRefused, _refused_prompt)
    app.add_exception_handler(ServerlessError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _failed)
    if api.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(api.cors_origins), allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(BrowserGuard, origins=api.cors_origins, hosts=api.trusted_hosts, is_open=api.accounts is None)
    larger = {f"{prefix}{path}": api.max_file_bytes + _FORM_BYTES for prefix in ("", "/api") for path in _UPLOADS}
    app.add_middleware(Guards, max_body_bytes=api.max_body_bytes, larger=larger, clock=api.clock)
    return app


async def _refused_prompt(request: Request, exc: Any) -> Response:
    return JSONResponse(exc.body(), status_code=400)


async def _refused(request: Request, exc: Any) -> Response:
    return _problem(exc)


async def _malformed(request: Request, exc: Any) -> Response:
    problems = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()[:10]]
    return _problem(InvalidRequest("; ".join(problems)))


async def _failed(request: Request, exc: Any) -> Response:
    _log.exception("%s %s failed", request.method, request.url.path, exc_info=exc)
    return _problem(Internal("the request failed by a defect of this server; its log says more"))


def _problem(error: ServerlessError) -> Response:
    status = status_here(error)
    headers = _LOG_IN if status == 401 else headers_of(error)
    return JSONResponse({**problem_of(error), "status": status}, status, headers, MEDIA_TYPE)
