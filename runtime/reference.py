"""A request that does not come along but lies elsewhere: a platform takes only so many bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from runtime.cancellation import CancelFlag
from runtime.errors import InputError, InvalidRequest
from runtime.fetch.sink import ByteBudget, Sink
from runtime.request import JobId, JobRequest

if TYPE_CHECKING:
    from runtime.worker import Parts

_FIELDS = ("request_url", "request_key", "job_id")


class RequestReference(BaseModel):
    """Where a request lies, in one of three ways.

    `request_url` is an `https://` or `s3://` address, as input files have; `request_key` a key of the deployment's own
    artifact store, under `requests/TENANT/` or `inputs/TENANT/`; `job_id` alone the request that is stored with that
    job. Beside the first two it is the job's id. The API key comes along: it is never stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_url: SecretStr | None = Field(default=None, max_length=4000)
    request_key: str | None = Field(default=None, max_length=1024, pattern=r"^(requests|inputs)/")
    job_id: JobId | None = None
    comfy_org_api_key: SecretStr | None = None

    @property
    def is_job_id_alone(self) -> bool:
        return self.request_url is None and self.request_key is None


def read_request(data: object, *, strict: bool = True) -> tuple[JobRequest | RequestReference, list[str]]:
    """A request or a reference to one, and the warnings about it. Raises InvalidRequest as `JobRequest.parse` does."""
    if not isinstance(data, Mapping) or "workflow" in data or data.keys().isdisjoint(_FIELDS):
        return JobRequest.parse(data, strict=strict)
    try:
        reference = RequestReference.model_validate(dict(data))
    except ValidationError as exc:
        if data.keys().isdisjoint(_FIELDS[:2]):
            return JobRequest.parse(data, strict=strict)  # which says that there is no workflow
        fields = ", ".join(sorted({str(error["loc"][0]) for error in exc.errors()}))
        raise InvalidRequest(
            f"the reference to a request is wrong in {fields}; expected request_url or request_key, and no other field "
            "than job_id and comfy_org_api_key"
        ) from exc
    if reference.request_url is not None and reference.request_key is not None:
        raise InvalidRequest("a request has both request_url and request_key; expected one of them")
    return reference, []


def fetch_request(reference: RequestReference, parts: Parts, tenant: str, flag: CancelFlag) -> JobRequest:
    """The request that `reference` points to.

    Raises InvalidRequest where there is none or it is none, InputUnreachable where it cannot be had now, and what the
    stores and `flag` raise.
    """
    text: str | bytes
    if reference.request_url is not None:
        text = _download(reference.request_url.get_secret_value(), parts, tenant, flag)
    elif reference.request_key is not None:
        text = _read_key(reference.request_key, parts, tenant)
    else:
        text = _read_job(reference.job_id or "", parts, tenant)
    request, _ = JobRequest.parse(text, strict=False)
    brought = {name: getattr(reference, name) for name in ("job_id", "comfy_org_api_key")}
    return request.model_copy(update={name: value for name, value in brought.items() if value is not None})


def _read_job(job_id: str, parts: Parts, tenant: str) -> str:
    text = parts.jobs.request_of(tenant, job_id)
    if text is None:
        raise InvalidRequest(f"workflow is missing, and no request is stored with job_id {job_id!r}")
    return text


def _read_key(key: str, parts: Parts, tenant: str) -> bytes:
    data = parts.artifacts.get(key) if key.split("/")[1] == tenant else None
    if data is None:
        raise InvalidRequest(f"request_key {key[:100]!r} is not there, expected a key under requests/{tenant}/")
    return data


def _download(url: str, parts: Parts, tenant: str, flag: CancelFlag) -> bytes:
    from dataclasses import replace

    from runtime.fetch import s3, web

    limit_bytes = parts.max_request_bytes + parts.limits.total_bytes
    held = io.BytesIO()
    sink = Sink(held, limit_bytes=limit_bytes, budget=ByteBudget(limit_bytes), check=flag.check)
    try:
        if not url.startswith("s3://"):
            web.download(url, sink, parts.web)
        elif parts.s3 is None:
            raise InvalidRequest("request_url is an s3:// address, which this deployment does not read")
        else:
            s3.download(url, sink, replace(parts.s3, user=tenant))
    except InputError as exc:
        raise type(exc)(f"request_url: {exc.message}") from exc
    return held.getvalue()
