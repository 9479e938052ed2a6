"""The HTTP API as an ASGI app: stateless, in front of the job store, the artifact store and a dispatcher."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from runtime.api.browser_guard import BrowserGuard
from runtime.api.guards import REQUEST_ID, Guards
from runtime.api.measured import Measured
from runtime.api.openapi import DescribedApi
from runtime.api.parts import ApiParts
from runtime.api.problems import MEDIA_TYPE, headers_of, problem_of, status_of
from runtime.api.routes import (
    auth,
    batches,
    catalogue,
    dispatch,
    executions,
    files,
    health,
    measurements,
    runpod,
    statistics,
    templates,
)
from runtime.artifacts.links import FILES_PATH
from runtime.errors import Internal, InvalidRequest, ServerlessError

_log = logging.getLogger(__name__)

_ROUTES = (auth, batches, statistics, executions, templates, files, catalogue, health, measurements, dispatch, runpod)
"""In the order in which they are tried: `/workflows/stats` is no job's id."""
_MOST_PROBLEMS = 10
_FORM_BYTES = 64 << 10  # what a multipart form has around its file


def build_app(parts: ApiParts, *, lifespan: Any = None) -> FastAPI:
    """The app over `parts`, begun and ended by `lifespan`; errors are problem details (RFC 9457) with our code."""
    app = DescribedApi(
        title=parts.title,
        version="0.1.0",
        description="Run ComfyUI workflows as jobs.",
        lifespan=lifespan,
        docs_url="/docs" if parts.docs else None,
        redoc_url="/redoc" if parts.redoc else None,
        openapi_url="/openapi.json" if parts.docs else None,
    )
    app.state.parts = parts
    for module in _ROUTES:
        app.include_router(module.router)
    if parts.docs:  # who opens the address in a browser sees what there is
        app.add_route("/", _to_docs, include_in_schema=False)
    app.add_exception_handler(ServerlessError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _failed)
    if parts.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(parts.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Location", "Retry-After", REQUEST_ID],
        )
    if parts.trusted_hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(parts.trusted_hosts))
    if parts.accounts is None:  # there is no token that a foreign page would lack
        app.add_middleware(
            BrowserGuard,
            origins=parts.cors_origins,
            hosts=parts.trusted_hosts if parts.here_alone else (),
            is_open=parts.here_alone,
            links=FILES_PATH,
        )
    larger = {"/files/upload": parts.max_file_bytes + _FORM_BYTES}
    app.add_middleware(Guards, max_body_bytes=parts.max_body_bytes, larger=larger, clock=parts.clock)
    app.add_middleware(Measured, recorder=parts.recorder, clock=parts.clock)
    return app


def _problem(error: ServerlessError) -> JSONResponse:
    return JSONResponse(
        problem_of(error), status_code=status_of(error), media_type=MEDIA_TYPE, headers=headers_of(error)
    )


async def _refused(request: Request, exc: Any) -> JSONResponse:
    return _problem(exc)


async def _malformed(request: Request, exc: Any) -> JSONResponse:
    problems = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()[:_MOST_PROBLEMS]]
    return _problem(InvalidRequest("; ".join(problems)))


async def _to_docs(request: Request) -> RedirectResponse:
    return RedirectResponse("docs")


async def _unknown(request: Request, exc: Any) -> JSONResponse:
    detail = exc.detail
    if detail == HTTPStatus(exc.status_code).phrase:  # Starlette's own, which names nothing
        detail = f"there is no {request.method} {request.url.path} here; /docs and docs/http_api.md have the routes"
    body = {"type": "about:blank", "title": exc.detail, "status": exc.status_code, "detail": detail}
    return JSONResponse(body, status_code=exc.status_code, media_type=MEDIA_TYPE, headers=exc.headers)


async def _failed(request: Request, exc: Any) -> JSONResponse:
    _log.exception("%s %s failed", request.method, request.url.path, exc_info=exc)
    return _problem(Internal("the request failed by a defect of this server; its log says more"))
