"""The jobs of the chaos run, how each must end, and whether it did."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.artifacts.store import ArtifactStore
from runtime.jobs.record import JobRecord, Status

TENANT = "default"
ATTEMPTS = 10
KINDS = ("poison", "slow picture", "picture", "rejected", "late", "cancelled", *("slow picture", "picture") * 2)
_ENDS = {
    "slow picture": Status.COMPLETED,
    "picture": Status.COMPLETED,
    "rejected": Status.FAILED,
    "late": Status.TIMED_OUT,
    "cancelled": Status.CANCELLED,
    "poison": Status.FAILED,
}
_TELLING = frozenset({"webhooks_due", "webhook_error", "due_at", "revision"})
"""What may change of a job that has ended: whether its webhook was heard."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job, the platform that brings it, its picture's colour and how it must end.

    `cancel_while` is the state in which its cancel is asked for; `deliveries` how often its platform sends it at first.
    """

    job_id: str
    platform: str
    kind: str
    colour: int
    deliveries: int = 1
    cancel_while: Status | None = None
    request: dict[str, Any] = field(repr=False)

    @property
    def end(self) -> Status:
        return _ENDS[self.kind]


def plan(count: int, *, seed: int, log: str, webhook: str, poison_attempts: int) -> Sequence[Planned]:
    """`count` jobs, half of them on each platform; slow ones write their steps to `log`, each tells `webhook`.

    One in fifty is a poison: whatever worker has it is killed, `poison_attempts` times.
    """
    draw = random.Random(seed)
    return [_planned(number, draw, log, webhook, poison_attempts) for number in range(count)]


def _planned(number: int, draw: random.Random, log: str, webhook: str, poison_attempts: int) -> Planned:
    kind = KINDS[number // 2 % len(KINDS)]
    if kind == "poison" and number // (2 * len(KINDS)) % 5:
        kind = "picture"
    colour = 0 if kind == "slow picture" else draw.randrange(1 << 24)
    while_ = draw.choice((Status.PENDING, Status.RUNNING)) if kind == "cancelled" else None
    job_id = f"job-{number:04}"
    return Planned(
        job_id=job_id,
        platform=("sqs", "runpod")[number % 2],
        kind=kind,
        colour=colour,
        deliveries=draw.choice((1, 1, 1, 2)),
        cancel_while=while_,
        request={
            "workflow": _workflow(kind, colour, log),
            "job_id": job_id,
            "priority": draw.choice(("high", "normal", "low")),
            "max_attempts": poison_attempts if kind == "poison" else ATTEMPTS,
            "webhook": {"url": webhook},
            **({"timeout_s": 0.5} if kind == "late" else {}),
        },
    )


def _workflow(kind: str, colour: int, log: str) -> dict[str, Any]:
    picture = {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": colour}}
    if kind == "rejected":
        picture = {"class_type": "EmptyImage", "inputs": {"width": "wide"}}
    if kind in ("slow picture", "late", "cancelled"):
        slow = {"steps": 20, "step_s": 0.05} if kind == "slow picture" else {"steps": 1000, "step_s": 0.5}
        picture = {"class_type": "TimedSteps", "inputs": {**slow, "log": log}}  # the others never come to their end
    if kind == "poison":
        picture = {"class_type": "Kills", "inputs": {}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "chaos"}}
    return {"1": picture, "2": save}


def has_changed(first: JobRecord, now: JobRecord) -> bool:
    """Whether a job that has ended is another than it was, but for what was told of it."""
    return any(value != getattr(first, name) for name, value in vars(now).items() if name not in _TELLING)


def faults_of(job: Planned, record: JobRecord | None, artifacts: ArtifactStore) -> Iterator[str]:
    """What is wrong with how the job ended; nothing where all is right."""
    if record is None:
        yield "absent"
        return
    if record.status is not job.end:
        yield f"{record.status.value} and not {job.end.value}: {record.error.message if record.error else ''}"
    if record.attempt + record.handbacks != record.fencing_token:
        yield f"{record.attempt} attempts and {record.handbacks} hand-backs, but {record.fencing_token} claims"
    if job.kind == "poison" and record.attempt != record.max_attempts:
        yield f"failed after {record.attempt} of {record.max_attempts} attempts"
    if (job.end is Status.COMPLETED) != (len(record.outputs) == 1):
        yield f"{len(record.outputs)} outputs"
    for output in record.outputs:
        data = artifacts.get(output.key)
        if f"/{job.job_id}/{record.fencing_token}/" not in f"/{output.key}":
            yield f"{output.key} is not under the winner's token {record.fencing_token}"
        if data is None or hashlib.sha256(data).hexdigest() != output.sha256:
            yield f"{output.key} has not the bytes that the record says"
        elif _colour(data) != job.colour:
            yield f"{output.key} is another job's picture"


def _colour(data: bytes) -> int:
    from PIL import Image

    return int.from_bytes(Image.open(io.BytesIO(data)).convert("RGB").tobytes()[:3], "big")
