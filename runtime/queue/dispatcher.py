"""Brings stored jobs to workers by the queues of SQS."""

from __future__ import annotations

from runtime.errors import InvalidRequest
from runtime.jobs.record import Dispatch, JobKey
from runtime.queue.messages import write_message
from runtime.queue.sqs import SqsQueues
from runtime.request import JobRequest


class SqsDispatcher:
    """A `runtime.api.dispatch.Dispatcher`: a message a job, in the queue of its priority."""

    within_s = 86_400.0

    def __init__(self, queues: SqsQueues) -> None:
        self.dispatch = Dispatch(backend="sqs")
        self._queues = queues

    def send(self, key: JobKey, request: JobRequest) -> None:
        """Send the job's message; a request too large for one is fetched by the worker from where the job is stored."""
        self._queues.send(request.priority, write_message(request, key.job_id), tenant=key.tenant)

    def check(self, request: JobRequest) -> None:
        """Raises InvalidRequest for a request that brings an API key, which is never kept."""
        if request.comfy_org_api_key is not None:
            raise InvalidRequest(
                "comfy_org_api_key cannot wait in a queue, where it would be kept: expected COMFY_ORG_API_KEY set on "
                "the workers"
            )

    def cancel(self, key: JobKey) -> None:
        """The worker hears of it from the store, and drops the message then."""
