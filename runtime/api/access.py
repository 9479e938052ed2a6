"""Who calls, from the request's headers: the one place where a caller becomes a principal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from runtime.api.advice import Adviser
from runtime.api.errors import Forbidden, NotFound, Unauthenticated
from runtime.api.keys import PREFIX
from runtime.api.parts import ApiParts
from runtime.api.principal import Principal, Scope
from runtime.worker import Worker


def parts_of(request: Request) -> ApiParts:
    """The parts of the app that answers the request."""
    parts: ApiParts = request.app.state.parts
    return parts


Parts = Annotated[ApiParts, Depends(parts_of)]


def authenticated(parts: Parts, request: Request) -> Principal:
    """The caller, counted against the rate limits. Raises Unauthenticated, RateLimited."""
    token = request.headers.get("x-api-key") or bearer_of(request.headers.get("authorization", ""))
    return principal_of(parts, token)


def principal_of(parts: ApiParts, token: str | None) -> Principal:
    """Whose token it is, counted against the rate limits. Raises Unauthenticated, RateLimited."""
    principal = _principal(parts, token)
    parts.rates.count(principal.tenant)
    return principal


def allowed(scope: Scope) -> Callable[..., Principal]:
    """A dependency: the caller, if `scope` is among theirs. Raises Forbidden."""

    def check(principal: Annotated[Principal, Depends(authenticated)]) -> Principal:
        if not principal.may(scope):
            held = ", ".join(sorted(scope.value for scope in principal.scopes))
            raise Forbidden(f"this needs the scope {scope.value!r}; the key has {held}")
        return principal

    return check


def worker_of(parts: Parts) -> Worker:
    """The worker in this process. Raises NotFound where there is none, StateUnavailable while it loads."""
    if parts.worker is None:
        raise NotFound("this instance has no worker of its own to ask")
    return parts.worker.worker


def adviser_of(parts: Parts) -> Adviser:
    """The worker in this process, else what those elsewhere told. Raises as `worker_of` does, NothingTold."""
    return worker_of(parts) if parts.told is None else parts.told


Here = Annotated[Worker, Depends(worker_of)]
Advised = Annotated[Adviser, Depends(adviser_of)]
Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Executor = Annotated[Principal, Depends(allowed(Scope.EXECUTE))]
Manager = Annotated[Principal, Depends(allowed(Scope.MANAGE))]


def _principal(parts: ApiParts, token: str | None) -> Principal:
    if parts.accounts is None:
        return Principal(tenant=parts.tenant, scopes=Scope.all())
    if token is None:
        raise Unauthenticated("expected a header `Authorization: Bearer TOKEN` with an access token or an API key")
    if token.startswith(f"{PREFIX}_"):
        return parts.keys.authenticate(token)
    return parts.accounts.authenticate(token)


def bearer_of(header: str) -> str | None:
    """The token of an Authorization header; None where it has none."""
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
