"""Whether this instance lives, and whether it can serve."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from runtime.api.access import Here, Parts, Reader
from runtime.api.parts import ApiParts
from runtime.errors import Internal, ServerlessError

router = APIRouter(tags=["health"])
_log = logging.getLogger(__name__)

_NOBODY = "health"


@router.get("/health/liveness")
def liveness() -> dict[str, str]:
    """Answers while the process does."""
    return {"status": "ok"}


@router.get("/health/readiness")
@router.get("/health")
def readiness(parts: Parts) -> JSONResponse:
    """200 where the stores answer and the worker is ready, else 503; what is wrong is named by part.

    Anybody may ask: where the deployment asks for tokens, its code is told, and the log says what it is.
    """
    found = {name: _state(check, is_told=parts.accounts is None) for name, check in _checks(parts).items()}
    is_ready = all(state == "ok" for state in found.values())
    body: dict[str, Any] = {"status": "ok" if is_ready else "not ready", "parts": found}
    if parts.depth is not None:
        body["waiting"] = parts.depth()
    return JSONResponse(body, status_code=200 if is_ready else 503)


@router.get("/health/worker")
def worker(caller: Reader, here: Here) -> dict[str, Any]:
    """How the worker in this process is: versions, models in memory, the phases of ComfyUI's boot, node packages that
    did not load and why.
    """
    return dict(here.health())


def _checks(parts: ApiParts) -> dict[str, Any]:
    checks: dict[str, Any] = {
        "jobs": lambda: parts.jobs.get(_NOBODY, _NOBODY),
        "documents": lambda: parts.documents.get(_NOBODY, _NOBODY),
        "files": lambda: parts.artifacts.stat(f"inputs/{_NOBODY}"),
    }
    here = parts.worker
    return checks if here is None else {**checks, "worker": lambda: here.worker}


def _state(check: Any, *, is_told: bool) -> str:
    try:
        check()
    except ServerlessError as exc:
        code, message = exc.code, exc.message
    except Exception as exc:  # whatever it is, it is what the part's state is
        code, message = Internal.code, f"{type(exc).__name__}: {exc}"
    else:
        return "ok"
    _log.warning("not ready: %s", message)
    return message if is_told else code
