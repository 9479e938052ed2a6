"""What a worker speaks to: the stores, by harmless calls, the clock, names, and an API by its address."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from runtime.build import build_artifacts, build_jobs, build_queues
from runtime.clock import Clock
from runtime.doctor.finding import Finding
from runtime.errors import ServerlessError
from runtime.settings import Settings

_NOBODY = "doctor"
_NOT_REACHED = ("EndpointConnectionError", "ConnectTimeout", "ReadTimeout", "ConnectionClosed")
_SKEW_S = 5.0
_LATE_S = 240.0
"""AWS refuses a signature that is five minutes off."""


def jobs(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """One read of the job store, which needs its credentials and changes nothing."""
    where = f"DynamoDB table {settings.dynamodb_table}" if settings.dynamodb_table else "SQLite, of this machine alone"
    store = build_jobs(settings, clock, build_artifacts(settings, clock))
    try:
        store.get(_NOBODY, _NOBODY)
        yield Finding(name="jobs", state="ok", said=where)
    except ServerlessError as exc:
        said = f"{where}: {exc.message}. {_mend(exc, 'DYNAMODB_TABLE', 'DYNAMODB_ENDPOINT_URL')}"
        yield Finding(name="jobs", state="wrong", said=said)
    finally:
        store.close()


def queues(settings: Settings) -> Iterator[Finding]:
    """How many jobs wait in each queue of SQS, where there are any: another call that changes nothing."""
    if settings.sqs_queue_url is None:
        return
    try:
        waiting = build_queues(settings).waiting()
    except ServerlessError as exc:
        said = f"{exc.message}. {_mend(exc, 'SQS_QUEUE_URL', 'SQS_ENDPOINT_URL')}"
        yield Finding(name="queues", state="wrong", said=said)
    else:
        said = ", ".join(f"{count} wait in {name}" for name, count in waiting.items())
        yield Finding(name="queues", state="ok", said=said)


def _mend(error: ServerlessError, name: str, endpoint: str) -> str:
    """What to look at, by what failed: the way to a service, or what it was asked by."""
    if any(word in error.message for word in _NOT_REACHED):
        return f"Check the network to it, AWS_REGION and {endpoint}"
    return f"Check {name}, AWS_REGION, the keys and their policy (docs/aws.md)"


def files(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """A few bytes put into the store, their presigned link fetched back, and the clock of whoever answered it."""
    store = build_artifacts(settings, clock)
    key, sent = f"outputs/{settings.tenant}/{_NOBODY}/{uuid.uuid4().hex}.txt", uuid.uuid4().hex.encode()
    where = f"bucket {settings.bucket.name}" if settings.bucket else "a folder"
    try:
        store.put(key, sent, "text/plain")
        yield Finding(name="files", state="ok", said=where)
        try:
            yield from _fetched(store.sign(key, 60).url, sent, clock, is_folder=settings.bucket is None)
        finally:
            store.delete(key)
    except ServerlessError as exc:
        said = f"{where}: {exc.message}. {_mend(exc, 'S3_BUCKET', 'S3_ENDPOINT_URL')}"
        yield Finding(name="files", state="wrong", said=said)
    finally:
        store.close()


def _fetched(url: str, sent: bytes, clock: Clock, *, is_folder: bool) -> Iterator[Finding]:
    host = urlsplit(url).netloc
    try:
        reply = httpx.get(url, timeout=15)
    except httpx.TransportError as exc:
        mend = "start `comfyui-serverless serve`, or set PUBLIC_URL" if is_folder else "check the network to it"
        said = f"{host} was not reached ({type(exc).__name__}): {mend}"
        yield Finding(name="link", state="warning" if is_folder else "wrong", said=said)
        return
    if reply.status_code != 200 or reply.content != sent:
        mend = "another server is there: set PUBLIC_URL" if is_folder else "check the clock and S3_PUBLIC_ENDPOINT_URL"
        said = f"{host} answered {reply.status_code}, not the file: {mend}"
        yield Finding(name="link", state="wrong", said=said)
    else:
        yield Finding(name="link", state="ok", said=f"a presigned link was fetched back from {host}")
    yield from skew(reply, clock)


def skew(reply: httpx.Response, clock: Clock) -> Iterator[Finding]:
    """Our clock against the one of whoever answered."""
    if date := reply.headers.get("Date"):
        off = clock.wall() - parsedate_to_datetime(date).timestamp()
        said = f"{off:+.0f} s against {reply.url.host}"
        if abs(off) <= _SKEW_S:
            yield Finding(name="clock", state="ok", said=said)
        else:
            mend = "signatures are refused and leases end wrongly: set it by NTP (`timedatectl set-ntp true`)"
            yield Finding(name="clock", state="wrong" if abs(off) > _LATE_S else "warning", said=f"{said}: {mend}")


def names(settings: Settings) -> Iterator[Finding]:
    """Whether the hosts that jobs need have addresses; the one that models come from is needed to bring some alone."""
    models_from = urlsplit(settings.hf_endpoint).hostname
    urls = [settings.hf_endpoint, settings.s3_endpoint_url, settings.dynamodb_endpoint_url, settings.sqs_queue_url]
    hosts = [urlsplit(url).hostname for url in urls if url]
    if settings.aws_region and settings.bucket and not settings.s3_endpoint_url:
        hosts.append(f"s3.{settings.aws_region}.amazonaws.com")
    for host in filter(None, dict.fromkeys(hosts)):
        try:
            socket.getaddrinfo(host, 443)
        except OSError as exc:
            said = f"{host} has no address ({exc}): check the resolver (/etc/resolv.conf) and the way out"
            said += "; only models that are not here yet come from it" if host == models_from else ""
            yield Finding(name="dns", state="warning" if host == models_from else "wrong", said=said)
        else:
            yield Finding(name="dns", state="ok", said=host)


def deployment(url: str, clock: Clock) -> Iterator[Finding]:
    """A running API: what its readiness says of each of its parts, and its clock."""
    address = url.rstrip("/") + "/health/readiness"
    try:
        reply = httpx.get(address, timeout=30)
        parts = reply.json()["parts"]
    except httpx.TransportError as exc:
        said = f"{address} was not reached ({type(exc).__name__}): is it running, and is this its address?"
        yield Finding(name="api", state="wrong", said=said)
        return
    except (ValueError, KeyError, TypeError):
        said = f"{address} answered {reply.status_code}, and no readiness: expected the address of our HTTP API"
        yield Finding(name="api", state="wrong", said=said)
        return
    for name, state in parts.items():
        is_ok = state == "ok"
        mend = "" if is_ok else "; run `comfyui-serverless doctor` on that machine"
        yield Finding(name=name, state="ok" if is_ok else "wrong", said=f"{state}{mend}")
    yield from skew(reply, clock)
