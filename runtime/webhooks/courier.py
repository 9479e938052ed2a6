"""Makes the calls that are due, and notes what became of them."""

from __future__ import annotations

import logging
from typing import Literal

from runtime.artifacts.store import ArtifactStore
from runtime.clock import Clock
from runtime.errors import InputRejected, ServerlessError
from runtime.fetch.access import WebAccess
from runtime.jobs.record import JobRecord
from runtime.jobs.store import JobStore
from runtime.progress import Progress
from runtime.webhooks.message import Message, end_message, progress_message
from runtime.webhooks.post import POST_S, Gone, post
from runtime.webhooks.schedule import next_try
from runtime.webhooks.signature import Signer

_log = logging.getLogger(__name__)

Delivery = Literal["delivered", "failed", "given_up"]


class Courier:
    """Delivers the webhooks of a deployment's jobs. Any number of threads may use one."""

    def __init__(
        self, *, jobs: JobStore, artifacts: ArtifactStore, signer: Signer, access: WebAccess, clock: Clock
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._signer = signer
        self._access = access
        self._clock = clock

    def has_time(self, held: JobRecord) -> bool:
        """Whether the webhook that `held` holds is held long enough to be delivered."""
        return bool(held.webhooks_due) and held.webhooks_due[0].due_at - POST_S > self._clock.wall()

    def deliver(self, held: JobRecord) -> Delivery:
        """Tell how the job ended, and note in the store whether that was heard. Raises StateUnavailable."""
        failure, is_final = self._failure(held)
        if failure is None:
            self._jobs.settle_webhook(held)
            return "delivered"
        retry_at = None if is_final else next_try(held.webhooks_due[0].tries + 1, now=self._clock.wall())
        _log.warning("webhook of job %s: %s", held.job_id, failure)
        self._jobs.settle_webhook(held, failure=failure, retry_at=retry_at)
        return "given_up" if retry_at is None else "failed"

    def tell_progress(self, record: JobRecord, progress: Progress, number: int) -> None:
        """Tell how far a job is, once and whether it is heard or not: the next one will know more."""
        if record.webhook is None:
            return
        message = progress_message(record, progress, number=number, now=self._clock.wall())
        try:
            self._send(record.webhook.url, message)
        except (ServerlessError, Gone) as exc:
            _log.info("progress of job %s was not heard: %s", record.job_id, exc)

    def _failure(self, held: JobRecord) -> tuple[str | None, bool]:
        """Why the call failed, None if it did not; and whether another can only fail too."""
        if held.webhook is None:
            return "the job names nobody to tell", True
        if not self._signer.can_sign:
            return "there is no WEBHOOK_SECRET to sign with", False
        try:
            self._send(held.webhook.url, end_message(held, held.webhook, self._artifacts))
        except Gone:
            return "the receiver answered 410: it wants no more", True
        except InputRejected as exc:
            return exc.message, True
        except ServerlessError as exc:
            return exc.message, False
        return None, False

    def _send(self, url: str, message: Message) -> None:
        headers = self._signer.headers(message.id, int(self._clock.wall()), message.body)
        post(url, message.body, headers, self._access)
