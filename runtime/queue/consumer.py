"""Takes jobs from the queues, one at a time, until there are none or it is told to stop."""

from __future__ import annotations

import logging
import re
import threading
from concurrent.futures import Future, wait

from runtime.cancellation import CancelFlag
from runtime.clock import Clock
from runtime.errors import DeviceLost, InvalidRequest, JobIdTaken, StateUnavailable
from runtime.gpu_thread import GpuThread
from runtime.jobs.leases import RENEW_EVERY_S
from runtime.jobs.record import Dispatch
from runtime.queue.messages import read_message
from runtime.queue.sqs import LONGEST_WAIT_S, Message, SqsQueues
from runtime.queue.turns import order_of
from runtime.reference import RequestReference
from runtime.request import JobRequest
from runtime.result import JobResult

AWAY_S = 5.0
"""How long after a queue did not answer it is asked again."""

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TICK_S = 0.5
_log = logging.getLogger(__name__)


class Consumer:
    """Runs what the queues hold on `gpu`.

    A message is deleted once its job has ended, is shown again when its job may be run again, and goes to the
    dead-letter queue where it is no request or its last attempt failed for a reason that may pass. While a job runs
    its message is kept out of others' sight as its lease is renewed.
    """

    def __init__(self, queues: SqsQueues, gpu: GpuThread, *, tenant: str, clock: Clock) -> None:
        self._queues = queues
        self._gpu = gpu
        self._tenant = tenant
        self._clock = clock
        self._stopped = threading.Event()
        self._turn = 0
        self._has_rested = False
        self._back_at = clock.monotonic()

    def stop(self) -> None:
        """Take no more, and hand back what runs. Returns at once; may be called from a signal handler."""
        self._stopped.set()
        self._gpu.hand_back()

    def run(self, *, drain: bool = False) -> bool:
        """Work until `stop`, or with `drain` until nothing is left. False if the GPU was lost: end the process.

        What others hold is not waited for by `drain`; what this worker put off is.
        """
        while not self._stopped.is_set():
            try:
                message = self._next()
                if message is None and drain and self._clock.monotonic() >= self._back_at:
                    return True
                if message is None:
                    self._rest()
                if message is not None and not self._work(message):
                    return False
            except StateUnavailable as exc:
                _log.warning("%s", exc.message)
                self._stopped.wait(AWAY_S)
        return True

    def _rest(self) -> None:
        """Say once that nothing waits."""
        if not self._has_rested:
            self._has_rested = True
            self._gpu.rest()

    def _next(self) -> Message | None:
        """A message that is there, else one that comes within some seconds."""
        order = order_of(self._turn)
        count = self._queues.count
        message = self._queues.take(order) if count > 1 else None
        message = message or self._queues.take(order, wait_s=LONGEST_WAIT_S // count)
        if message is not None:
            self._turn += 1
        return message

    def _work(self, message: Message) -> bool:
        """Run the message's job and settle it; whether the worker may go on."""
        tenant = message.tenant or self._tenant
        try:
            request = _request(message, tenant)
        except InvalidRequest as exc:
            _log.error("message %s is put aside: %s", message.message_id, exc.message)
            self._queues.put_aside(message, exc.message)
            return True
        job = self._gpu.submit(
            request,
            cancel=CancelFlag(),
            dispatch=Dispatch(backend="sqs", endpoint=message.queue_url, platform_job_id=message.message_id),
            requeue="anywhere",
            tenant=tenant,
        )
        result = self._awaited(job, message)
        self._settle(message, result)
        return result.error is None or result.error.code != DeviceLost.code

    def _awaited(self, job: Future[JobResult], message: Message) -> JobResult:
        """The job's result; meanwhile its message is renewed as its lease is."""
        renewed_at = self._clock.monotonic()
        while not wait((job,), timeout=_TICK_S).done:
            if self._clock.monotonic() - renewed_at >= RENEW_EVERY_S:
                renewed_at = self._clock.monotonic()
                self._renew(message)
        return job.result()

    def _renew(self, message: Message) -> None:
        """A message that is seen too soon costs another worker a look: its job stays with the lease."""
        try:
            self._queues.renew(message)
        except StateUnavailable as exc:
            _log.warning("%s", exc.message)

    def _settle(self, message: Message, result: JobResult) -> None:
        code = "" if result.error is None else f" ({result.error.code})"
        _log.info("job %s is %s%s", result.job_id, result.status, code)
        if not result.has_ended:
            self._put_off(message, result.retry_after_s or 0.0)
        elif result.error is not None and _is_to_be_looked_at(result):
            self._queues.put_aside(message, f"{result.error.code}: {result.error.message}")
        else:
            self._queues.delete(message)

    def _put_off(self, message: Message, seconds: float) -> None:
        self._back_at = max(self._back_at, self._clock.monotonic() + seconds)
        self._queues.hide(message, seconds)


def _request(message: Message, tenant: str) -> JobRequest | RequestReference:
    """What a message asks for. Raises InvalidRequest where it asks for nothing that can be."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidRequest(f"the message's tenant is {tenant[:100]!r}; expected letters, digits, _ and -")
    return read_message(message.body)


def _is_to_be_looked_at(result: JobResult) -> bool:
    """Whether the job failed for what a retry might have mended, all its attempts, or was never one by its request."""
    error = result.error
    if error is None or result.status != "failed":
        return False
    return error.retryable or error.code in (InvalidRequest.code, JobIdTaken.code)
