"""Accounts and keys."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from runtime.api.access import Manager, Parts
from runtime.api.accounts import Accounts, Tokens
from runtime.api.errors import Forbidden, NotFound
from runtime.api.parts import ApiParts
from runtime.api.principal import Scope
from runtime.errors import InvalidRequest

router = APIRouter(tags=["accounts"])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{2,64}$", examples=["ada"])]


class Registration(_Body):
    """A new account's address and password; `username` is another name to log in by."""

    email: str = Field(max_length=254, examples=["ada@example.org"])
    password: SecretStr = Field(max_length=1000, examples=["correct horse battery"])
    username: Username | None = None


class Login(_Body):
    """An account's address, or its username, and its password."""

    email: str | None = Field(default=None, max_length=254, examples=["ada@example.org"])
    username: Username | None = None
    password: SecretStr = Field(max_length=1000)


class Refresh(_Body):
    """A refresh token, spent by its use."""

    refresh_token: SecretStr = Field(max_length=500)


class NewKey(_Body):
    """A key to make. `scopes` None: those of whoever makes it; `expires_in_s` None: it does not expire."""

    name: str = Field(min_length=1, max_length=100, examples=["ci"])
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] | None = None
    expires_in_s: Annotated[int, Field(ge=60, le=10 * 365 * 86_400)] | None = None


@router.post("/auth/register", status_code=201)
def register(body: Registration, parts: Parts, request: Request) -> dict[str, Any]:
    """Make an account and log in."""
    accounts = _accounts(parts)
    if not parts.registration:
        raise Forbidden("registration is closed on this deployment")
    password = body.password.get_secret_value()
    return _tokens(accounts.register(body.email, password, body.username, address=_address(request)))


@router.post("/auth/login")
def login(body: Login, parts: Parts, request: Request) -> dict[str, Any]:
    """Log in: an access token for half an hour, and a refresh token for a week."""
    name = body.email or body.username
    if name is None:
        raise InvalidRequest("email is missing; or username in its place")
    return _tokens(_accounts(parts).login(name, body.password.get_secret_value(), address=_address(request)))


@router.post("/auth/refresh")
def refresh(body: Refresh, parts: Parts) -> dict[str, Any]:
    """Go on with a session. A refresh token that comes twice ends its session."""
    return _tokens(_accounts(parts).refresh(body.refresh_token.get_secret_value()))


@router.post("/auth/logout", status_code=204)
def logout(body: Refresh, parts: Parts) -> Response:
    """End a session."""
    _accounts(parts).logout(body.refresh_token.get_secret_value())
    return Response(status_code=204)


@router.post("/api-keys", status_code=201)
def create_key(body: NewKey, parts: Parts, principal: Manager) -> dict[str, Any]:
    """Make a key: `key` is shown this once. It cannot allow more than who makes it."""
    scopes = principal.scopes if body.scopes is None else body.scopes
    lacking = sorted(scope.value for scope in scopes if not principal.may(scope))
    if lacking:
        raise Forbidden(f"a key cannot allow what its maker may not: {', '.join(lacking)}")
    key, known = parts.keys.create(principal.tenant, body.name, scopes=scopes, ttl_s=body.expires_in_s)
    return {"key": key, **vars(known)}


@router.get("/api-keys")
def list_keys(parts: Parts, principal: Manager) -> dict[str, Any]:
    """The caller's keys, without the keys themselves."""
    return {"keys": [vars(key) for key in parts.keys.list(principal.tenant)]}


@router.delete("/api-keys/{key_id}", status_code=204)
def delete_key(key_id: str, parts: Parts, principal: Manager) -> Response:
    """Revoke a key at once."""
    parts.keys.delete(principal.tenant, key_id)
    return Response(status_code=204)


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _accounts(parts: ApiParts) -> Accounts:
    if parts.accounts is None:
        raise NotFound("this deployment asks for no tokens (SECRET_KEY is not set), so it has no accounts")
    return parts.accounts


def _tokens(tokens: Tokens) -> dict[str, Any]:
    return {"token_type": "bearer", **vars(tokens)}
