"""What a record keeps of the webhooks that are due, and how that changes: moves as those of `transitions`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runtime.jobs.record import DueWebhook, JobRecord, Status, WebhookTarget

HOLD_S = 60.0
"""How long whoever ended a job, or took its webhook, has to make the call before another may."""


def due_at_end(target: WebhookTarget | None, status: Status, *, now: float) -> tuple[DueWebhook, ...]:
    """What is to be told of a job that ends as `status`; every end but a completed one is the event `failed`."""
    event = "completed" if status is Status.COMPLETED else "failed"
    if target is None or event not in target.events:
        return ()
    return (DueWebhook(event=event, due_at=now + HOLD_S),)


def next_due(webhooks: Sequence[DueWebhook]) -> float | None:
    """When the first of them is due. Of one job they are sent in their order, so the others wait behind it."""
    return webhooks[0].due_at if webhooks else None


def only_tells(before: JobRecord, after: JobRecord) -> bool:
    """Whether the job has ended, and what changes is what is kept of its webhooks and nothing else."""
    if not before.status.is_terminal or after.webhooks_due == before.webhooks_due:
        return False
    told = replace(before, webhooks_due=after.webhooks_due, due_at=after.due_at, webhook_error=after.webhook_error)
    return after == told


def take(*, now: float) -> Callable[[JobRecord | None], JobRecord | None]:
    """The first webhook, once it is due, is the taker's for HOLD_S."""

    def move(record: JobRecord | None) -> JobRecord | None:
        if record is None or not record.webhooks_due or record.webhooks_due[0].due_at > now:
            return record
        held = replace(record.webhooks_due[0], due_at=now + HOLD_S)
        return _with_webhooks(record, (held, *record.webhooks_due[1:]))

    return move


def settle(
    held: JobRecord, *, failure: str | None, retry_at: float | None
) -> Callable[[JobRecord | None], JobRecord | None]:
    """The webhook that `held` holds is done with, or due again at `retry_at`; no change if it is no longer held so."""

    def move(record: JobRecord | None) -> JobRecord | None:
        if record is None or not record.webhooks_due or not _is_held_so(record, held):
            return record
        first, *others = record.webhooks_due
        if failure is None:
            return _with_webhooks(record, others)
        if retry_at is None or record.is_expired(retry_at):
            return replace(_with_webhooks(record, others), webhook_error=failure)
        return _with_webhooks(record, (replace(first, due_at=retry_at, tries=first.tries + 1), *others))

    return move


def _is_held_so(record: JobRecord, held: JobRecord) -> bool:
    return record.created_at == held.created_at and record.webhooks_due == held.webhooks_due


def _with_webhooks(record: JobRecord, webhooks: Sequence[DueWebhook]) -> JobRecord:
    return replace(record, webhooks_due=tuple(webhooks), due_at=next_due(webhooks))
