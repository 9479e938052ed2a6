from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.aws import AwsAccess
from runtime.errors import StateUnavailable
from runtime.queue.sqs import SqsQueues

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

USUAL = ("high", "normal", "low")


def test_the_first_queue_of_the_order_that_has_a_message_gives_it(queues: SqsQueues) -> None:
    queues.send("low", "third", tenant="acme")
    queues.send("high", "first", tenant="acme")
    queues.send("normal", "second", tenant="acme")
    taken = [queues.take(USUAL) for _ in range(4)]
    assert [message and message.body for message in taken] == ["first", "second", "third", None]


def test_a_message_tells_its_id_its_queue_and_its_tenant(queues: SqsQueues, urls: dict[str, str]) -> None:
    sent = queues.send("low", "body", tenant="acme")
    message = queues.take(USUAL)
    assert message is not None
    assert (message.message_id, message.queue_url, message.tenant) == (sent, urls["low"], "acme")


def test_a_message_that_anybody_sent_names_no_tenant(queues: SqsQueues, sqs: SQSClient, urls: dict[str, str]) -> None:
    sqs.send_message(QueueUrl=urls["normal"], MessageBody="body")
    message = queues.take(USUAL)
    assert message is not None
    assert message.tenant is None


def test_a_taken_message_is_out_of_sight_until_it_is_shown(queues: SqsQueues) -> None:
    queues.send("normal", "body", tenant="acme")
    message = queues.take(USUAL)
    assert message is not None
    queues.renew(message)
    assert queues.take(USUAL) is None
    queues.hide(message, 0)
    assert queues.take(USUAL) is not None


def test_a_message_is_never_hidden_for_longer_than_sqs_allows(queues: SqsQueues) -> None:
    queues.send("normal", "body", tenant="acme")
    message = queues.take(USUAL)
    assert message is not None
    with pytest.raises(StateUnavailable, match=r"ChangeMessageVisibility on SQS queue 'normal' failed: Invalid"):
        queues.hide(message, 1e9)  # cut to 12 hours, which with the time since it was taken is a little more


def test_a_message_put_aside_lies_in_the_dead_letter_queue_with_the_reason(
    queues: SqsQueues, sqs: SQSClient, urls: dict[str, str]
) -> None:
    sent = queues.send("normal", "body", tenant="acme")
    message = queues.take(USUAL)
    assert message is not None
    queues.put_aside(message, "it is no request")
    [dead] = sqs.receive_message(QueueUrl=urls["dead"], MessageAttributeNames=["All"])["Messages"]
    told = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
    assert (dead["Body"], told) == ("body", {"reason": "it is no request", "message_id": sent, "tenant": "acme"})
    counts = sqs.get_queue_attributes(QueueUrl=urls["normal"], AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_queue_for_every_priority_is_asked_once(urls: dict[str, str], queues: SqsQueues) -> None:
    one = SqsQueues(dict.fromkeys(USUAL, urls["normal"]))
    assert (one.count, queues.count) == (1, 3)


def test_a_queue_that_is_not_there_is_named(sqs: SQSClient) -> None:
    access = AwsAccess(region="eu-west-1", access_key_id="AKIDTEST", secret_access_key="not-a-secret")
    gone = SqsQueues(dict.fromkeys(USUAL, "https://sqs.eu-west-1.amazonaws.com/123456789012/gone"), access=access)
    with pytest.raises(StateUnavailable, match="ReceiveMessage on SQS queue 'gone' failed: "):
        gone.take(USUAL)
