"""The queues of SQS that jobs wait in, by priority, and the one that bad messages are put aside into."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.aws import AwsAccess, client_config, explain
from runtime.errors import StateUnavailable
from runtime.jobs.leases import GRACE_S, LEASE_S
from runtime.queue.turns import Priority

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

HIDDEN_S = LEASE_S + GRACE_S
"""How long a message is out of others' sight once it was taken or renewed: as long as a job stays with its worker."""
LONGEST_HIDDEN_S = 12 * 3600
"""SQS's own bound."""
LONGEST_WAIT_S = 6
"""No long poll is longer, so that one whose answer never comes is given up soon, and a worker told to stop stops."""

_READ_TIMEOUT_S = LONGEST_WAIT_S + 4.0
_TENANT = "tenant"
_LONGEST_REASON = 500


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message that was taken, and is to be deleted, put off or put aside. `tenant` is None where it names none."""

    message_id: str
    queue_url: str
    body: str = field(repr=False)
    tenant: str | None
    receipt: str = field(repr=False)


class SqsQueues:
    """Queues by priority, of which several may be one. A call raises StateUnavailable, after retries of its own."""

    def __init__(
        self, urls: Mapping[Priority, str], *, dead_letter_url: str | None = None, access: AwsAccess | None = None
    ) -> None:
        self._urls = urls
        self._dead_letter_url = dead_letter_url
        self._access = access or AwsAccess()
        self._lock = threading.Lock()
        self._made: SQSClient | None = None

    def url_of(self, priority: Priority) -> str:
        return self._urls[priority]

    @property
    def count(self) -> int:
        """How many queues there are."""
        return len({*self._urls.values()})

    def send(self, priority: Priority, body: str, *, tenant: str) -> str:
        """Put a message into the queue of `priority`, and answer the id that SQS gives it."""
        return self._send(self._urls[priority], body, {_TENANT: tenant})

    def take(self, order: Sequence[Priority], *, wait_s: int = 0) -> Message | None:
        """A message of the first queue in `order` that has one, out of others' sight for HIDDEN_S seconds.

        Each queue is waited at for `wait_s` seconds, up to LONGEST_WAIT_S.
        """
        for url in dict.fromkeys(self._urls[priority] for priority in order):
            with self._translated("ReceiveMessage", url):
                answer = self._client().receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=1,
                    VisibilityTimeout=math.ceil(HIDDEN_S),
                    WaitTimeSeconds=wait_s,
                    MessageAttributeNames=[_TENANT],
                )
            for message in answer.get("Messages", ()):
                return _message(url, message)
        return None

    def renew(self, message: Message) -> None:
        """Keep the message out of others' sight for HIDDEN_S seconds from now."""
        self.hide(message, HIDDEN_S)

    def hide(self, message: Message, seconds: float) -> None:
        """Keep the message out of others' sight for `seconds` from now; 0 shows it at once."""
        with self._translated("ChangeMessageVisibility", message.queue_url):
            self._client().change_message_visibility(
                QueueUrl=message.queue_url,
                ReceiptHandle=message.receipt,
                VisibilityTimeout=min(LONGEST_HIDDEN_S, max(0, math.ceil(seconds))),
            )

    def delete(self, message: Message) -> None:
        with self._translated("DeleteMessage", message.queue_url):
            self._client().delete_message(QueueUrl=message.queue_url, ReceiptHandle=message.receipt)

    def put_aside(self, message: Message, reason: str) -> None:
        """Move the message to the dead-letter queue, with `reason`; it may be there twice after a failure."""
        if self._dead_letter_url is not None:
            attributes = {"reason": reason[:_LONGEST_REASON], "message_id": message.message_id}
            tenant = {} if message.tenant is None else {_TENANT: message.tenant}
            self._send(self._dead_letter_url, message.body, {**attributes, **tenant})
        self.delete(message)

    def waiting(self) -> dict[str, int]:
        """About how many messages wait in each queue, by its name."""
        found = {}
        for url in dict.fromkeys(self._urls.values()):
            with self._translated("GetQueueAttributes", url):
                asked = self._client().get_queue_attributes(
                    QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
                )
            found[url.rpartition("/")[2]] = int(asked["Attributes"]["ApproximateNumberOfMessages"])
        return found

    def _send(self, url: str, body: str, attributes: Mapping[str, str]) -> str:
        with self._translated("SendMessage", url):
            answer = self._client().send_message(
                QueueUrl=url,
                MessageBody=body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        return answer["MessageId"]

    def _client(self) -> SQSClient:
        with self._lock:
            if self._made is None:
                config = client_config(read_timeout_s=_READ_TIMEOUT_S)
                session = self._access.session
                self._made = session.client("sqs", endpoint_url=self._access.endpoint_url, config=config)
            return self._made

    @contextmanager
    def _translated(self, operation: str, url: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as exc:
            queue = url.rpartition("/")[2]
            raise StateUnavailable(f"{operation} on SQS queue {queue!r} failed: {explain(exc)}") from exc


def _message(url: str, message: Any) -> Message:
    tenant = message.get("MessageAttributes", {}).get(_TENANT, {}).get("StringValue")
    return Message(
        message_id=message["MessageId"],
        queue_url=url,
        body=message["Body"],
        tenant=tenant,
        receipt=message["ReceiptHandle"],
    )
