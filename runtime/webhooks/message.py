"""What a webhook says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.artifacts.store import ArtifactStore
from runtime.clock import utc_text
from runtime.jobs.record import JobRecord, WebhookTarget
from runtime.progress import Progress
from runtime.request import OutputOptions
from runtime.results import recorded_result


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message; `id` stays the same however often it is sent, so that a receiver knows it again."""

    id: str
    body: bytes


def end_message(record: JobRecord, target: WebhookTarget, artifacts: ArtifactStore) -> Message:
    """How a job ended, with links signed now. Raises what reading or signing its outputs does."""
    event = record.webhooks_due[0].event
    options = OutputOptions(delivery="url", url_ttl_s=target.url_ttl_s)
    result = recorded_result(record, artifacts, options, "url").to_wire()
    times = {"created_at": record.created_at, "finished_at": record.finished_at}
    data = {**result, "user_id": record.user_id, **times}
    return Message(id=_id(record, event), body=_body(event, record.finished_at or record.created_at, data))


def progress_message(record: JobRecord, progress: Progress, *, number: int, now: float) -> Message:
    """How far a running job is: the `number`th such message of its claim, at `now` in epoch seconds."""
    data = {"job_id": record.job_id, "status": "running", "progress": progress.to_wire(), "user_id": record.user_id}
    message_id = _id(record, f"progress {record.fencing_token} {number}")
    return Message(id=message_id, body=_body("progress", utc_text(now), data))


def _id(record: JobRecord, of: str) -> str:
    """Of this job and no other, also where its id named another one before."""
    text = "\n".join((record.tenant, record.job_id, record.created_at, of))
    return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _body(event: str, timestamp: str, data: Mapping[str, Any]) -> bytes:
    message = {"type": f"job.{event}", "timestamp": timestamp, "data": data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
