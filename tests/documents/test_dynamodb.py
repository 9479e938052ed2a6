"""What only DynamoDB does."""

from __future__ import annotations

import pytest

from runtime.documents.dynamodb import DynamoDocumentStore
from runtime.documents.store import ABSENT


class LostAnswer:
    """A handler that has botocore send one call again after it was answered, as if the answer was lost."""

    def __init__(self) -> None:
        self.lost = False

    def __call__(self, **_: object) -> int | None:
        if self.lost:
            return None
        self.lost = True
        return 0


@pytest.fixture
def lost(dynamo: DynamoDocumentStore) -> LostAnswer:
    answer = LostAnswer()
    dynamo._table._access.session.events.register_first("needs-retry.dynamodb.PutItem", answer)
    return answer


def test_a_put_whose_answer_was_lost_finds_its_own_work_done(dynamo: DynamoDocumentStore, lost: LostAnswer) -> None:
    put = dynamo.put("c", "n", {"secret": "a"}, over=ABSENT)
    assert lost.lost
    assert put is not None
    assert put == dynamo.get("c", "n")
    lost.lost = False
    again = dynamo.put("c", "n", {"secret": "b"}, over=put.version)
    assert again is not None
    assert again == dynamo.get("c", "n")


def test_another_s_work_is_not_its_own(dynamo: DynamoDocumentStore, lost: LostAnswer) -> None:
    lost.lost = True
    dynamo.put("c", "n", {"secret": "a"}, over=ABSENT)
    lost.lost = False
    assert dynamo.put("c", "n", {"secret": "b"}, over=ABSENT) is None


def test_of_two_who_put_the_same_one_wins(dynamo: DynamoDocumentStore) -> None:
    assert dynamo.put("c", "n", {}, over=ABSENT) is not None
    assert dynamo.put("c", "n", {}, over=ABSENT) is None
