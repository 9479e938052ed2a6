"""ComfyUI's own web page, where its package is installed: `pip install comfyui-frontend-package`.

The package is GPL-3.0 and not part of ours: it is served as it is, beside an API that it speaks to.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, FastAPI, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from runtime.api.principal import Principal, Scope
from runtime.comfyui_api.access import Reader, allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope as Asked

_PAGE, _TEMPLATES = ("comfyui_frontend_package", "static"), ("comfyui_workflow_templates", "templates")
_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""By the suffix: a machine's own table may not know `.mjs`, which a browser then would not run."""
_YEAR = "public, max-age=31536000, immutable"
_HEADERS = {
    "Content-Security-Policy": "base-uri 'self'; frame-ancestors 'none'; object-src 'none'",
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The page's files with their types; those that carry a hash in their name are kept by browsers."""

    async def get_response(self, path: str, scope: Asked) -> Response:
        answer = await super().get_response(path, scope)
        known = _TYPES.get(Path(path).suffix)
        if known is not None and answer.status_code in (200, 206):
            answer.headers["content-type"] = known
        answer.headers["cache-control"] = _YEAR if path.startswith("assets/") else "no-cache"
        return answer


def add_page(app: FastAPI) -> None:
    """Serve the page at `/`, if it is installed, and the templates that it offers, if those are.

    The page itself asks for a token, so that a browser asks its person; its scripts are anybody's.
    """
    page, templates = _folder(*_PAGE), _folder(*_TEMPLATES)
    app.include_router(_extensions(page))
    app.include_router(_extensions(page), prefix="/api")
    if templates is not None:
        app.mount("/templates", GZipMiddleware(PageFiles(directory=templates)))
    if page is not None:
        app.include_router(_index(page))
        app.mount("/", GZipMiddleware(PageFiles(directory=page)))


def _index(page: Path) -> APIRouter:
    router = APIRouter()

    @router.get("/")
    @router.get("/index.html")
    def index(principal: Annotated[Principal, Depends(allowed(Scope.READ))]) -> Response:
        """The page."""
        return FileResponse(page / "index.html", media_type=_TYPES[".html"], headers=_HEADERS)

    return router


def _extensions(page: Path | None) -> APIRouter:
    router = APIRouter()
    found = sorted((page / "extensions").rglob("*.js")) if page is not None else []
    names = [f"/{path.relative_to(page).as_posix()}" for path in found if page is not None]

    @router.get("/extensions")
    def extensions(principal: Reader) -> list[str]:
        """The scripts that the page loads beside itself."""
        return names

    return router


def _folder(package: str, folder: str) -> Path | None:
    """The folder of a package, which is not imported for it; None where it is not installed."""
    found = importlib.util.find_spec(package)
    paths = [Path(place) / folder for place in (found.submodule_search_locations or [])] if found else []
    return next((path for path in paths if path.is_dir()), None)
