"""A stored job as it is named to a worker elsewhere: by its id, its tenant, and the proof that one of us named it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from runtime.errors import InvalidRequest
from runtime.jobs.record import JobKey


class Seal:
    """Signs what is sent, and checks what comes. Both sides hold the same SECRET_KEY and the same stores.

    A worker's platform is called by clients too, who must not name a tenant: only what is signed does. Without a
    secret every job is of the deployment's own tenant, and none is named.
    """

    def __init__(self, secret: str | None, *, tenant: str) -> None:
        self._secret = secret
        self._tenant = tenant

    def write(self, key: JobKey) -> dict[str, str]:
        """The input by which a worker finds the job. Raises InvalidRequest for a tenant that it would not believe."""
        if self._secret is not None:
            return {"job_id": key.job_id, "tenant": key.tenant, "proof": self._proof(self._secret, key)}
        if key.tenant != self._tenant:
            raise InvalidRequest(f"a job of tenant {key.tenant!r} is only sent elsewhere where SECRET_KEY is set")
        return {"job_id": key.job_id}

    def read(self, data: Any) -> tuple[Any, str | None]:
        """The input without its seal, and the tenant that the seal names; None for one that a client wrote.

        Raises InvalidRequest for a proof that is not of our secret.
        """
        if not isinstance(data, Mapping) or "proof" not in data:
            return data, None
        key = JobKey(str(data.get("tenant")), str(data.get("job_id")))
        expected = "" if self._secret is None else self._proof(self._secret, key)
        if not expected or not hmac.compare_digest(expected.encode(), str(data["proof"]).encode()):
            raise InvalidRequest("the job's proof is not of this deployment's SECRET_KEY: both sides need the same")
        return {"job_id": key.job_id}, key.tenant

    @staticmethod
    def _proof(secret: str, key: JobKey) -> str:
        return hmac.new(secret.encode(), f"dispatch\n{key.tenant}\n{key.job_id}".encode(), hashlib.sha256).hexdigest()
