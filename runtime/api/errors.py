"""What the API refuses beside the errors of jobs; each has its HTTP status in runtime/api/problems.py."""

from __future__ import annotations

from runtime.errors import ServerlessError


class Unauthenticated(ServerlessError):
    """No token or key was given, or one that is wrong, expired or revoked."""

    code = "unauthenticated"


class Forbidden(ServerlessError):
    """The key does not allow this."""

    code = "forbidden"


class NotFound(ServerlessError):
    """There is no such thing among the caller's own."""

    code = "not_found"


class Conflict(ServerlessError):
    """It is there already, or has been changed by somebody else meanwhile."""

    code = "conflict"


class ValidationFailed(ServerlessError):
    """The workflow has nothing in it that could run."""

    code = "validation_failed"


class TooLarge(ServerlessError):
    """The body is larger than this deployment takes."""

    code = "too_large"


class RateLimited(ServerlessError):
    """The caller has asked too often; `retry_after_s` says when to ask again."""

    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
