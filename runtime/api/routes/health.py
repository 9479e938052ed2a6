"""Whether this instance lives, and whether it can serve."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from runtime.api.access import Here, Parts, Reader
from runtime.api.parts import ApiParts
from runtime.errors import ServerlessError

router = APIRouter(tags=["health"])

_NOBODY = "health"


@router.get("/health/liveness")
def liveness() -> dict[str, str]:
    """Answers while the process does."""
    return {"status": "ok"}


@router.get("/health/readiness")
@router.get("/health")
def readiness(parts: Parts) -> JSONResponse:
    """200 where the stores answer and the worker is ready, else 503; what is wrong is named by part."""
    found = {name: _state(check) for name, check in _checks(parts).items()}
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


def _state(check: Any) -> str:
    try:
        check()
    except ServerlessError as exc:
        return exc.message
    except Exception as exc:  # whatever it is, it is what the part's state is
        return f"{type(exc).__name__}: {exc}"
    return "ok"
