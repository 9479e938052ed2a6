from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from runtime.artifacts.local import FolderArtifactStore
from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.errors import JobIdTaken, StateUnavailable
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.leases import Claim
from runtime.jobs.record import ANONYMOUS, JobError, JobFacts, JobRecord, Outcome, Status, Timings, WebhookTarget
from runtime.jobs.store import JobStore
from runtime.jobs.table import BY_LIKENESS, EXPIRY, TABLE, add_indexes, create_table, expire_items
from runtime.sweeper import Sweeper


def claimed(store: JobStore, facts: JobFacts) -> Claim:
    claim = store.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    return claim


def held(blobs: FolderArtifactStore) -> list[str]:
    return [artifact.key for artifact in blobs.list("")]


def item_of(store: DynamoJobStore, facts: JobFacts) -> Mapping[str, Any]:
    item = store._item(facts.key)
    assert item is not None
    return item


@pytest.fixture
def store(open_dynalite: Callable[..., DynamoJobStore]) -> DynamoJobStore:
    return open_dynalite()


@pytest.fixture
def calls(dynalite_access: Any) -> Any:
    """How many calls were sent to DynamoDB, by operation."""
    counted: Counter[str] = Counter()
    events = dynalite_access.session.events

    def count(model: Any, **_: object) -> None:
        counted[model.name] += 1

    events.register("before-call.dynamodb", count)
    yield counted
    events.unregister("before-call.dynamodb", count)


@pytest.fixture
def answering(dynalite_access: Any) -> Any:
    """Lets an event's handler be set for one test: what AWS would do to a call."""
    events = dynalite_access.session.events
    registered: list[tuple[str, Callable[..., Any]]] = []

    def register(event: str, handler: Callable[..., Any]) -> None:
        events.register_first(event, handler)
        registered.append((event, handler))

    yield register
    for event, handler in registered:
        events.unregister(event, handler)


class Body:
    """An HTTP body as botocore reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._data


class Refusal:
    """A handler that answers the first `times` calls as DynamoDB does when it is unwell."""

    def __init__(self, status: int, code: str, *, times: int = 1) -> None:
        self._status = status
        self._body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "secret detail"})
        self._left = times

    def __call__(self, request: Any, **_: object) -> AWSResponse | None:
        if self._left == 0:
            return None
        self._left -= 1
        headers = HTTPHeaders.from_dict({"content-type": "application/x-amz-json-1.0"})
        return AWSResponse(request.url, self._status, headers, Body(self._body.encode()))


class LostAnswer:
    """A handler that has botocore send one call again after it was answered, as if the answer was lost."""

    def __init__(self) -> None:
        self.lost = False

    def __call__(self, **_: object) -> int | None:
        if self.lost:
            return None
        self.lost = True
        return 0


def test_a_job_costs_two_writes_and_one_a_heartbeat_and_no_read(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, calls: Counter[str]
) -> None:
    claim = claimed(store, facts)
    for _ in range(3):
        claim = store.renew(claim)
    store.finish(claim, completed)
    assert calls == {"PutItem": 1, "UpdateItem": 4}


def test_a_dispatched_job_costs_four_writes_and_a_read(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, calls: Counter[str]
) -> None:
    store.create(facts, dispatch_by=0)
    store.finish(claimed(store, facts), completed)
    # The claim is tried as if the job was absent: where the service gives the item that stands there, without a read.
    assert calls == {"PutItem": 2, "GetItem": 1, "UpdateItem": 2}


def test_a_cancel_between_heartbeats_costs_one_write_more(
    store: DynamoJobStore, facts: JobFacts, calls: Counter[str]
) -> None:
    claim = claimed(store, facts)
    store.request_cancel("acme", "job-1")
    calls.clear()
    assert store.renew(claim).cancel_requested
    assert calls == {"UpdateItem": 2, "GetItem": 1}


@pytest.mark.parametrize("operation", ["create", "claim", "renew", "finish", "hand_back"])
def test_a_call_whose_answer_was_lost_finds_its_own_work_done(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, answering: Any, operation: str
) -> None:
    claim = claimed(store, replace(facts, job_id="job-0"))
    lost = "PutItem" if operation in ("create", "claim") else "UpdateItem"
    answer_lost = LostAnswer()
    store.close()  # a client knows the handlers of when it was made
    answering(f"needs-retry.dynamodb.{lost}", answer_lost)
    calls: dict[str, Callable[[], Claim | JobRecord]] = {
        "create": lambda: store.create(facts, dispatch_by=0),
        "claim": lambda: claimed(store, facts),
        "renew": lambda: store.renew(claim),
        "finish": lambda: store.finish(claim, completed),
        "hand_back": lambda: store.hand_back(claim),
    }
    answer = calls[operation]()
    record = answer.record if isinstance(answer, Claim) else answer
    assert answer_lost.lost
    assert store.get(record.tenant, record.job_id) == record


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "ProvisionedThroughputExceededException"), (500, "InternalServerError"), (503, "ServiceUnavailable")],
    ids=["throttled", "500", "503"],
)
def test_an_aws_that_is_unwell_for_a_moment_is_asked_again(
    store: DynamoJobStore, facts: JobFacts, answering: Any, status: int, code: str
) -> None:
    answering("before-send.dynamodb.PutItem", Refusal(status, code))
    assert claimed(store, facts).record == store.get("acme", "job-1")


def test_an_aws_that_refuses_is_named_with_its_code_alone(
    store: DynamoJobStore, facts: JobFacts, answering: Any
) -> None:
    answering("before-send.dynamodb.PutItem", Refusal(400, "AccessDeniedException"))
    with pytest.raises(StateUnavailable, match=r"PutItem on DynamoDB table 'jobs-\d+' failed: AccessDen") as raised:
        store.claim(facts, worker_id="worker-a")
    assert "secret" not in raised.value.message
    assert raised.value.retryable


def test_a_table_that_is_not_there_is_named(dynalite_access: AwsAccess, facts: JobFacts) -> None:
    store = DynamoJobStore("missing", access=dynalite_access)
    with pytest.raises(StateUnavailable, match="table 'missing' failed: ResourceNotFoundException"):
        store.get("acme", "job-1")


def test_a_job_is_won_once_by_many_threads(open_dynalite: Callable[..., DynamoJobStore], facts: JobFacts) -> None:
    store = open_dynalite()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: store.claim(facts, worker_id=f"worker-{number}"), range(8)))
    (winner,) = [answer for answer in answers if isinstance(answer, Claim)]
    assert all(answer == winner.record for answer in answers if answer is not winner)


def test_a_job_lost_by_its_worker_is_won_once_by_many_threads(
    store: DynamoJobStore, facts: JobFacts, clock: ManualClock
) -> None:
    claimed(store, facts)
    clock.advance(100)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: store.claim(facts, worker_id=f"worker-{number}"), range(8)))
    (winner,) = [answer for answer in answers if isinstance(answer, Claim)]
    assert winner.fencing_token == 2


def test_a_large_request_goes_to_the_artifact_store(
    store: DynamoJobStore, facts: JobFacts, blobs: FolderArtifactStore
) -> None:
    store.create(facts, dispatch_by=0, request="x" * 100_001)
    (key,) = held(blobs)
    assert key.startswith("requests/acme/job-1/")
    assert store.request_of("acme", "job-1") == "x" * 100_001


def test_another_large_request_under_the_id_is_not_the_job_s(store: DynamoJobStore, facts: JobFacts) -> None:
    store.create(facts, dispatch_by=0, request="x" * 100_001)
    with pytest.raises(JobIdTaken):
        store.create(replace(facts, request_sha256="another"), dispatch_by=0, request="y" * 100_001)
    assert store.request_of("acme", "job-1") == "x" * 100_001


LARGE: dict[str, Callable[[Outcome], dict[str, Any]]] = {
    "outputs": lambda outcome: {"outputs": outcome.outputs * 51},
    "node timings": lambda _: {"timings_ms": Timings(nodes={str(node): 1.5 for node in range(900)})},
    "node errors": lambda _: {
        "error": JobError(code="x", message="", retryable=False, node_errors={"1": {"options": ["a"] * 51}})
    },
    "many long texts": lambda _: {
        "error": JobError(code="x", message="", retryable=False, node_errors={str(n): "ü" * 9_000 for n in range(40)}),
        "warnings": ("ü" * 9_000,) * 40,
    },
    "a long message": lambda _: {"error": JobError(code="x", message="y" * 200_000, retryable=False)},
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_part_of_a_result_goes_to_the_artifact_store_and_comes_back_unseen(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, blobs: FolderArtifactStore, name: str
) -> None:
    outcome = replace(completed, **LARGE[name](completed))
    record = store.finish(claimed(store, facts), outcome)
    assert held(blobs) == ["details/acme/job-1/1.json"]
    assert store.get("acme", "job-1") == record
    assert store.list_by_user("acme", "ada").jobs[0].status is Status.COMPLETED


def test_a_small_job_leaves_the_artifact_store_alone(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, blobs: FolderArtifactStore
) -> None:
    store.create(facts, dispatch_by=0, request="x" * 100_000)
    store.finish(claimed(store, facts), completed)
    assert held(blobs) == []


def test_a_part_that_the_artifact_store_has_lost_is_named(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, blobs: FolderArtifactStore
) -> None:
    store.finish(claimed(store, facts), replace(completed, warnings=("w",) * 51))
    blobs.delete("details/acme/job-1/1.json")
    with pytest.raises(StateUnavailable, match=r"'details/acme/job-1/1\.json'"):
        store.get("acme", "job-1")


def test_an_item_is_in_the_due_index_only_until_its_end(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome
) -> None:
    claim = claimed(store, facts)
    assert "due_at" in item_of(store, facts)
    store.finish(claim, completed)
    item = item_of(store, facts)
    assert "due_at" not in item
    assert set(item[EXPIRY]) == {"N"}
    assert item[EXPIRY]["N"].isdigit()


def test_anonymous_jobs_have_a_partition_a_day(store: DynamoJobStore, facts: JobFacts, clock: ManualClock) -> None:
    keys = []
    for number in range(2):
        job = replace(facts, job_id=f"job-{number}", user_id=ANONYMOUS)
        store.create(job, dispatch_by=0)
        keys.append(item_of(store, job)["user_key"]["S"])
        clock.advance(86_400)
    assert keys == ["acme#day#2027-01-15", "acme#day#2027-01-16"]


def test_the_table_deletes_what_has_expired(moto_access: Any, open_moto: object) -> None:
    client = moto_access.session.client("dynamodb")
    create_table(client, "jobs-with-expiry")
    expire_items(client, "jobs-with-expiry")
    answer = client.describe_time_to_live(TableName="jobs-with-expiry")
    assert answer["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_a_heartbeat_touches_no_attribute_of_the_users_index() -> None:
    by_user = TABLE["GlobalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"]
    assert not {"due_at", "lease_expires_at", "progress", "revision"} & set(by_user)


def test_a_table_of_an_earlier_release_gets_the_index_that_it_lacks(moto_access: Any, open_moto: object) -> None:
    client = moto_access.session.client("dynamodb")
    first = [index for index in TABLE["GlobalSecondaryIndexes"] if index["IndexName"] != BY_LIKENESS]
    known = [
        each for each in TABLE["AttributeDefinitions"] if each["AttributeName"] not in ("likeness_key", "finished_at")
    ]
    client.create_table(
        TableName="jobs-of-before", **{**TABLE, "GlobalSecondaryIndexes": first, "AttributeDefinitions": known}
    )
    assert add_indexes(client, "jobs-of-before") == [BY_LIKENESS]
    assert add_indexes(client, "jobs-of-before") == []


def test_what_is_told_of_a_job_leaves_its_likeness_alone(
    store: DynamoJobStore, facts: JobFacts, completed: Outcome, calls: Counter[str]
) -> None:
    webhook = WebhookTarget(url="https://a.example", events=("completed",))
    ended = store.finish(claimed(store, replace(facts, webhook=webhook)), replace(completed, likeness="f" * 32))
    store.settle_webhook(ended)
    assert calls == {"PutItem": 1, "UpdateItem": 2}
    assert item_of(store, facts)["likeness_key"] == {"S": f"acme#native#{'f' * 32}"}


def test_a_sweep_with_nothing_to_do_costs_sixteen_queries(
    store: DynamoJobStore, facts: JobFacts, calls: Counter[str], clock: ManualClock
) -> None:
    claimed(store, facts)
    calls.clear()
    Sweeper(jobs=store, clock=clock).sweep()
    assert calls == {"Query": 16}


def test_a_lost_job_costs_a_sweep_a_read_and_a_write(
    store: DynamoJobStore, facts: JobFacts, calls: Counter[str], clock: ManualClock
) -> None:
    claimed(store, facts)
    calls.clear()
    clock.advance(100)
    Sweeper(jobs=store, clock=clock).sweep()
    assert calls == {"Query": 16, "GetItem": 1, "UpdateItem": 1}
