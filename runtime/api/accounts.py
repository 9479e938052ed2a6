"""Accounts: e-mail and password, an access token for half an hour, and refresh tokens that rotate."""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.api.errors import Conflict, RateLimited, Unauthenticated
from runtime.api.principal import Principal, Scope
from runtime.clock import Clock, utc_text
from runtime.documents.store import ABSENT, DocumentStore
from runtime.errors import InvalidRequest
from runtime.ids import new_job_id

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ACCESS_TOKEN_S = 30 * 60
REFRESH_TOKEN_S = 7 * 86_400
LOGINS = 10
"""How many attempts to log in an account, and an address, has in LOGIN_WINDOW_S."""
LOGIN_WINDOW_S = 300
REGISTRATIONS = 100
"""How many accounts an address may try to make in REGISTRATION_WINDOW_S: each costs 20 ms of a core, and a place."""
REGISTRATION_WINDOW_S = 3600

_REFRESH_PREFIX = "csr"
_SHARDS = 3  # hexadecimal digits: 4096 partitions of accounts
_WRONG = "the e-mail address or the password is wrong"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a login gives. Neither is kept by us as it stands."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


class Accounts:
    """The accounts of a deployment. `secret_key` signs access tokens: who has another one, cannot read them."""

    def __init__(
        self,
        documents: DocumentStore,
        *,
        secret_key: str,
        clock: Clock,
        algorithm: str = "HS256",
        access_token_s: int = ACCESS_TOKEN_S,
        refresh_token_s: int = REFRESH_TOKEN_S,
    ) -> None:
        self._documents = documents
        self._secret_key = secret_key
        self._clock = clock
        self._algorithm = algorithm
        self._access_token_s = access_token_s
        self._refresh_token_s = refresh_token_s

    def register(self, email: str, password: str, username: str | None = None, *, address: str) -> Tokens:
        """Make an account and log in; `username` is another name to log in by.

        Raises Conflict if one is taken, RateLimited after REGISTRATIONS attempts by an address.
        """
        email = _normal(email)
        self._throttle(f"registrations {address}", REGISTRATIONS, REGISTRATION_WINDOW_S, "make an account")
        if username is not None and self._email_of(username) not in (None, email):
            raise Conflict(f"the name {username!r} is taken: choose another")
        user_id = new_job_id(self._clock.wall())
        account = {"user_id": user_id, "password": _hash(password), "created_at": utc_text(self._clock.wall())}
        if self._documents.put(_collection(email), email, account, over=ABSENT) is None:
            raise Conflict(f"{email} has an account already: log in, or choose another address")
        if username is not None:
            self._documents.put(_usernames(username), username.lower(), {"email": email}, over=ABSENT)
        return self._begin(user_id)

    def login(self, name: str, password: str, *, address: str) -> Tokens:
        """Begin a session, by an e-mail address or a username.

        Raises Unauthenticated, or RateLimited after LOGINS attempts by an account or an address.
        """
        email = _normal(name if "@" in name else self._email_of(name) or f"{name}@nobody.invalid")
        for counted in (f"address {address}", f"account {email}"):  # one address cannot use up many accounts' attempts
            self._throttle(counted, LOGINS, LOGIN_WINDOW_S, "log in")
        found = self._documents.get(_collection(email), email)
        if not _matches(found.value["password"] if found else _nobodys_hash(), password) or found is None:
            raise Unauthenticated(_WRONG)
        return self._begin(found.value["user_id"])

    def refresh(self, refresh_token: str) -> Tokens:
        """Go on with a session; the token is spent by that. A spent one that comes again ends the whole session."""
        user_id, session, secret = _parts(refresh_token)
        found = self._documents.get(_sessions(user_id), session)
        if found is None:
            raise Unauthenticated("the refresh token is expired or revoked: log in again")
        new_secret = secrets.token_hex(32)
        expires_at = int(self._clock.wall()) + self._refresh_token_s
        is_current = hmac.compare_digest(found.value["secret_sha256"], _sha256(secret))
        value = {**found.value, "secret_sha256": _sha256(new_secret)}
        if not is_current or not self._documents.put(
            _sessions(user_id), session, value, over=found.version, expires_at=expires_at
        ):
            self._documents.delete(_sessions(user_id), session)
            raise Unauthenticated("the refresh token was used before, so its session is ended: log in again")
        return self._tokens(user_id, session, new_secret)

    def logout(self, refresh_token: str) -> None:
        """End the token's session. An access token of it lasts until its own end."""
        user_id, session, secret = _parts(refresh_token)
        found = self._documents.get(_sessions(user_id), session)
        if found is not None and hmac.compare_digest(found.value["secret_sha256"], _sha256(secret)):
            self._documents.delete(_sessions(user_id), session)

    def authenticate(self, access_token: str) -> Principal:
        """Whose token it is. Raises Unauthenticated for one that is forged or expired."""
        import jwt

        try:
            claims = jwt.decode(
                access_token,
                self._secret_key,
                algorithms=[self._algorithm],
                options={"verify_exp": False, "verify_iat": False, "require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError as exc:
            raise Unauthenticated("the access token is not one of this deployment") from exc
        if claims["exp"] <= self._clock.wall():
            raise Unauthenticated("the access token is expired: refresh it")
        return Principal(tenant=claims["sub"], scopes=Scope.all())

    def _begin(self, user_id: str) -> Tokens:
        session, secret = secrets.token_hex(8), secrets.token_hex(32)
        value = {"secret_sha256": _sha256(secret), "created_at": utc_text(self._clock.wall())}
        self._documents.put(
            _sessions(user_id), session, value, expires_at=int(self._clock.wall()) + self._refresh_token_s
        )
        return self._tokens(user_id, session, secret)

    def _tokens(self, user_id: str, session: str, secret: str) -> Tokens:
        import jwt

        now = int(self._clock.wall())
        claims = {"sub": user_id, "iat": now, "exp": now + self._access_token_s, "jti": secrets.token_hex(8)}
        return Tokens(
            access_token=jwt.encode(claims, self._secret_key, algorithm=self._algorithm),
            refresh_token="_".join((_REFRESH_PREFIX, user_id, session, secret)),
            expires_in=self._access_token_s,
        )

    def _email_of(self, username: str) -> str | None:
        found = self._documents.get(_usernames(username), username.lower())
        return None if found is None else str(found.value["email"])

    def _throttle(self, counted: str, most: int, window_s: int, what: str) -> None:
        now = int(self._clock.wall())
        began = now - now % window_s
        ends = began + window_s
        name = f"{_sha256(counted)} {began}"
        if self._documents.count("logins", name, amount=1, at_most=most, expires_at=ends) is None:
            raise RateLimited(f"more than {most} attempts to {what} within {window_s} s", retry_after_s=ends - now)


def _normal(email: str) -> str:
    normal = email.strip().lower()
    name, at, host = normal.partition("@")
    if not (name and at and "." in host) or len(normal) > 254 or not normal.isprintable() or " " in normal:
        raise InvalidRequest(f"email is {email[:100]!r}; expected NAME@HOST")
    return normal


def _collection(email: str) -> str:
    return f"accounts {_sha256(email)[:_SHARDS]}"


def _usernames(username: str) -> str:
    return f"usernames {_sha256(username.lower())[:_SHARDS]}"


def _sessions(user_id: str) -> str:
    return f"sessions {user_id}"


def _parts(refresh_token: str) -> tuple[str, str, str]:
    prefix, *parts = refresh_token.split("_")
    if prefix != _REFRESH_PREFIX or len(parts) != 3:
        raise Unauthenticated("the refresh token is not one of this deployment")
    user_id, session, secret = parts
    return user_id, session, secret


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _hasher() -> PasswordHasher:
    """Argon2id as OWASP's password storage cheat sheet has it: 19 MiB, two passes, one lane."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def _hash(password: str) -> str:
    if not 10 <= len(password) <= 1000:
        raise InvalidRequest(f"the password has {len(password)} characters; expected 10 to 1000")
    return _hasher().hash(password)


def _matches(password_hash: str, password: str) -> bool:
    from argon2.exceptions import VerifyMismatchError

    try:
        return _hasher().verify(password_hash, password)
    except VerifyMismatchError:
        return False


@functools.cache
def _nobodys_hash() -> str:
    """A hash that is verified where there is no account, so that the time taken tells nobody which there are."""
    return _hasher().hash(secrets.token_hex(16))
