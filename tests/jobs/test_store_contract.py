"""What every JobStore guarantees, on each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runtime.clock import ManualClock, epoch_s, utc_text
from runtime.errors import Internal, InvalidRequest, LeaseLost
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import ANONYMOUS, Dispatch, JobError, JobFacts, JobRecord, Outcome, Status
from runtime.jobs.store import DUE_SHARDS, JobStore
from runtime.jobs.transitions import ABANDONED_S, SENT_AGAIN_S
from runtime.progress import Progress

AWAY = JobError(code="storage_unavailable", message="the bucket is away", retryable=True)
FAILED = Outcome(status=Status.FAILED, error=JobError(code="node_failed", message="no", retryable=False))


def claimed(store: JobStore, facts: JobFacts, worker_id: str = "worker-a") -> Claim:
    claim = store.claim(facts, worker_id=worker_id)
    assert isinstance(claim, Claim)
    return claim


def held(store: JobStore, facts: JobFacts) -> JobRecord:
    record = store.get(facts.tenant, facts.job_id)
    assert record is not None
    return record


def due_everywhere(store: JobStore) -> list[str]:
    return sorted(key.job_id for shard in range(DUE_SHARDS) for key in store.due(shard))


def names(store: JobStore, user_id: str, tenant: str = "acme") -> list[str]:
    return [job.job_id for job in store.list_by_user(tenant, user_id).jobs]


def test_a_created_job_is_pending(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    sent = replace(facts, batch_id="batch-1", dispatch=Dispatch(backend="runpod", endpoint="abc"))
    record = store.create(sent, dispatch_by=clock.wall() + 600)
    assert record == held(store, facts)
    assert (record.status, record.attempt, record.fencing_token) == (Status.PENDING, 0, 0)
    assert record.created_at == utc_text(clock.wall())
    assert (record.dispatch, record.batch_id) == (sent.dispatch, "batch-1")


def test_a_job_created_again_is_given_as_it_stands(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    store.create(facts, dispatch_by=clock.wall() + 600)
    running = claimed(store, facts).record
    clock.advance(1)
    assert store.create(facts, dispatch_by=clock.wall() + 600) == running


@pytest.mark.parametrize("call", ["create", "claim"])
def test_an_id_with_another_request_is_refused_by_name(store: JobStore, facts: JobFacts, call: str) -> None:
    before = store.create(facts, dispatch_by=0)
    other = replace(facts, request_sha256="f" * 64)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: store.create(other, dispatch_by=0),
        "claim": lambda: store.claim(other, worker_id="worker-b"),
    }
    with pytest.raises(InvalidRequest, match="'job-1' already names a job"):
        calls[call]()
    assert held(store, facts) == before


def test_two_tenants_may_choose_the_same_id(store: JobStore, facts: JobFacts) -> None:
    theirs = replace(facts, tenant="globex", request_sha256="f" * 64)
    assert claimed(store, facts).record.key != claimed(store, theirs).record.key


def test_an_absent_job_runs_when_it_is_claimed(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claim = claimed(store, facts)
    assert claim.record == held(store, facts)
    assert (claim.record.status, claim.record.worker_id) == (Status.RUNNING, "worker-a")
    assert (claim.record.attempt, claim.fencing_token) == (1, 1)
    assert claim.record.lease_expires_at == clock.wall() + LEASE_S
    assert claim.lease_ends == clock.monotonic() + LEASE_S


def test_a_pending_job_runs_when_it_is_claimed(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    created = store.create(facts, dispatch_by=clock.wall() + 600)
    clock.advance(2.5)
    record = claimed(store, facts).record
    assert (record.status, record.attempt) == (Status.RUNNING, 1)
    assert record.created_at == created.created_at
    assert record.started_at is not None
    assert epoch_s(record.started_at) - epoch_s(record.created_at) == pytest.approx(2.5)


def test_a_job_that_is_held_is_not_given_to_another(store: JobStore, facts: JobFacts) -> None:
    claim = claimed(store, facts)
    assert store.claim(facts, worker_id="worker-b") == claim.record


def test_a_lease_is_not_taken_over_within_its_grace(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claim = claimed(store, facts)
    clock.advance(LEASE_S + GRACE_S - 0.5)
    assert store.claim(facts, worker_id="worker-b") == claim.record


def test_a_lost_job_is_taken_over_under_a_higher_token(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claimed(store, facts)
    clock.advance(LEASE_S + GRACE_S)
    taken = claimed(store, facts, "worker-b")
    assert (taken.fencing_token, taken.record.attempt, taken.record.worker_id) == (2, 2, "worker-b")
    assert taken.record == held(store, facts)


def test_a_lost_job_without_attempts_left_fails(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    once = replace(facts, max_attempts=1)
    claimed(store, once)
    clock.advance(LEASE_S + GRACE_S)
    ended = store.claim(once, worker_id="worker-b")
    assert isinstance(ended, JobRecord)
    assert ended == held(store, facts)
    assert (ended.status, ended.attempt) == (Status.FAILED, 1)
    assert ended.error is not None
    assert ended.error.code == "lease_lost"
    assert "'worker-a'" in ended.error.message


def test_a_lost_job_that_was_to_stop_is_cancelled(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claimed(store, facts)
    store.request_cancel("acme", "job-1")
    clock.advance(LEASE_S + GRACE_S)
    ended = store.claim(facts, worker_id="worker-b")
    assert isinstance(ended, JobRecord)
    assert ended.status is Status.CANCELLED


def test_a_renewal_gives_a_whole_lease(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claim = claimed(store, facts)
    clock.advance(20)
    renewed = store.renew(claim, Progress(node_id="3", nodes_done=2, nodes_total=7, step=5, steps=20))
    assert renewed.lease_ends == clock.monotonic() + LEASE_S
    assert renewed.record == held(store, facts)
    assert renewed.record.lease_expires_at == renewed.record.due_at == clock.wall() + LEASE_S
    assert renewed.record.progress == Progress(node_id="3", nodes_done=2, nodes_total=7, step=5, steps=20)


def test_a_renewal_without_progress_keeps_the_last(store: JobStore, facts: JobFacts) -> None:
    claim = store.renew(claimed(store, facts), Progress(node_id="3", step=1, steps=4))
    assert store.renew(claim).record.progress == Progress(node_id="3", step=1, steps=4)


@pytest.mark.parametrize("renewals", [1, 2])
def test_a_renewal_tells_that_the_job_shall_stop(store: JobStore, facts: JobFacts, renewals: int) -> None:
    claim = claimed(store, facts)
    store.request_cancel("acme", "job-1")
    for _ in range(renewals):
        assert not claim.cancel_requested
        renewed = store.renew(claim)  # also from a claim that has not heard of an earlier renewal
        assert renewed.cancel_requested


@pytest.mark.parametrize("call", ["renew", "finish", "hand_back", "requeue"])
def test_a_claim_that_lost_its_job_changes_nothing(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock, call: str
) -> None:
    stale = claimed(store, facts)
    clock.advance(LEASE_S + GRACE_S)
    winner = claimed(store, facts, "worker-b").record
    calls: dict[str, Callable[[], object]] = {
        "renew": lambda: store.renew(stale),
        "finish": lambda: store.finish(stale, completed),
        "hand_back": lambda: store.hand_back(stale),
        "requeue": lambda: store.requeue(stale, AWAY, delay_s=5),
    }
    with pytest.raises(LeaseLost, match="'job-1' is running under token 2, and was claimed under token 1"):
        calls[call]()
    assert held(store, facts) == winner


def test_a_finished_job_holds_its_whole_outcome(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    claim = claimed(store, facts)
    clock.advance(3)
    record = store.finish(claim, completed)
    assert record == held(store, facts)
    assert {name: getattr(record, name) for name in vars(completed)} == vars(completed)
    assert record.finished_at == utc_text(clock.wall())
    assert record.expires_at == clock.wall() + facts.ttl_s
    assert (record.due_at, record.lease_expires_at) == (None, None)


def test_a_failed_job_holds_its_error(store: JobStore, facts: JobFacts) -> None:
    node_errors = {"6": {"errors": [{"type": "required_input_missing", "details": "text"}], "class_type": "A"}}
    error = JobError(code="graph_rejected", message="no", retryable=False, node_id="6", node_errors=node_errors)
    store.finish(claimed(store, facts), Outcome(status=Status.FAILED, error=error))
    assert held(store, facts).error == error


def test_a_finish_told_twice_is_told_once(store: JobStore, facts: JobFacts, completed: Outcome) -> None:
    claim = claimed(store, facts)
    first = store.finish(claim, completed)
    assert store.finish(claim, completed) == first


def test_a_job_that_has_ended_never_changes(store: JobStore, facts: JobFacts, completed: Outcome) -> None:
    claim = claimed(store, facts)
    ended = store.finish(claim, completed)
    with pytest.raises(LeaseLost, match="is completed"):
        store.finish(claim, FAILED)
    with pytest.raises(LeaseLost, match="is completed"):
        store.renew(claim)
    assert store.request_cancel("acme", "job-1") == ended
    assert store.claim(facts, worker_id="worker-b") == ended
    assert held(store, facts) == ended


def test_a_job_does_not_finish_as_running(store: JobStore, facts: JobFacts) -> None:
    with pytest.raises(Internal, match="cannot finish as running"):
        store.finish(claimed(store, facts), Outcome(status=Status.RUNNING))


def test_a_late_holder_may_finish_while_nobody_took_over(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    claim = claimed(store, facts)
    clock.advance(LEASE_S + GRACE_S + 100)
    assert store.finish(claim, completed).status is Status.COMPLETED


def test_a_job_handed_back_is_pending_until_it_is_given_up(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    record = store.hand_back(claimed(store, facts))
    assert record == held(store, facts)
    assert (record.status, record.attempt, record.handbacks) == (Status.PENDING, 0, 1)
    assert (record.worker_id, record.lease_expires_at) == (None, None)
    assert (record.due_at, record.waits_until) == (clock.wall() + SENT_AGAIN_S, clock.wall() + ABANDONED_S)
    again = claimed(store, facts, "worker-b").record
    assert (again.attempt, again.handbacks, again.fencing_token) == (1, 1, 2)


def test_a_job_that_shall_stop_is_not_handed_back(store: JobStore, facts: JobFacts) -> None:
    claim = claimed(store, facts)
    store.request_cancel("acme", "job-1")
    assert store.hand_back(claim).status is Status.CANCELLED


def test_a_job_whose_attempt_failed_waits_for_its_next(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    record = store.requeue(claimed(store, facts), AWAY, delay_s=5)
    assert record == held(store, facts) == store.claim(facts, worker_id="worker-b")
    assert (record.status, record.attempt, record.handbacks, record.error) == (Status.PENDING, 1, 0, AWAY)
    assert (record.worker_id, record.lease_expires_at) == (None, None)
    assert record.not_before == clock.wall() + 5
    assert record.due_at == record.not_before + SENT_AGAIN_S
    clock.advance(5)
    again = claimed(store, facts, "worker-b").record
    assert (again.attempt, again.fencing_token, again.error, again.not_before) == (2, 2, None, None)


def test_a_job_that_shall_stop_is_not_requeued(store: JobStore, facts: JobFacts) -> None:
    claim = claimed(store, facts)
    store.request_cancel("acme", "job-1")
    assert store.requeue(claim, AWAY, delay_s=5).status is Status.CANCELLED


def test_a_job_without_attempts_left_is_not_requeued(store: JobStore, facts: JobFacts) -> None:
    record = store.requeue(claimed(store, replace(facts, max_attempts=1)), AWAY, delay_s=5)
    assert (record.status, record.error, record.due_at) == (Status.FAILED, AWAY, None)


@pytest.mark.parametrize("size", [100, 150_000], ids=["small", "large"])
@pytest.mark.parametrize("call", ["hand_back", "requeue"])
def test_a_job_that_waits_again_keeps_its_request(store: JobStore, facts: JobFacts, call: str, size: int) -> None:
    claim = claimed(store, facts)
    assert store.request_of("acme", "job-1") is None
    request = "ü" * size
    calls: dict[str, Callable[[], object]] = {
        "hand_back": lambda: store.hand_back(claim, request=request),
        "requeue": lambda: store.requeue(claim, AWAY, delay_s=5, request=request),
    }
    calls[call]()
    assert store.request_of("acme", "job-1") == request


def test_a_pending_job_is_cancelled_at_once(store: JobStore, facts: JobFacts) -> None:
    store.create(facts, dispatch_by=0)
    record = store.request_cancel("acme", "job-1")
    assert record == held(store, facts)
    assert record is not None
    assert record.status is Status.CANCELLED
    assert record.error is not None
    assert record.error.code == "cancelled"
    assert store.claim(facts, worker_id="worker-a") == record


def test_a_running_job_is_asked_to_stop(store: JobStore, facts: JobFacts) -> None:
    claim = claimed(store, facts)
    record = store.request_cancel("acme", "job-1")
    assert record == held(store, facts) == store.request_cancel("acme", "job-1")
    assert record is not None
    assert (record.status, record.cancel_requested) == (Status.RUNNING, True)
    assert store.finish(claim, Outcome(status=Status.CANCELLED)).status is Status.CANCELLED


def test_a_running_job_that_nobody_holds_any_more_is_cancelled_at_once(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    claimed(store, facts)
    clock.advance(LEASE_S + GRACE_S)
    record = store.request_cancel("acme", "job-1")
    assert record is not None
    assert record.status is Status.CANCELLED


def test_what_is_not_there_is_none(store: JobStore) -> None:
    for job_id in ("job-1", "x" * 5000):
        assert store.get("acme", job_id) is None
        assert store.request_of("acme", job_id) is None
    assert store.request_cancel("acme", "job-1") is None


@pytest.mark.parametrize("size", [100, 150_000], ids=["small", "large"])
def test_the_request_is_kept_from_its_birth_on(store: JobStore, facts: JobFacts, size: int) -> None:
    request = '{"workflow": "' + "ü" * size + '"}'
    store.create(facts, dispatch_by=0, request=request)
    claim = store.claim(facts, worker_id="worker-a", request="another text is not taken")
    assert isinstance(claim, Claim)
    assert store.request_of("acme", "job-1") == request


def test_an_expired_job_is_absent(store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock) -> None:
    ended = store.finish(store_claim(store, facts, request="{}"), completed)
    clock.advance(facts.ttl_s - 1)
    assert held(store, facts) == ended
    clock.advance(1)
    assert store.get("acme", "job-1") is None
    assert store.request_of("acme", "job-1") is None
    assert store.request_cancel("acme", "job-1") is None
    assert names(store, "ada") == []


def store_claim(store: JobStore, facts: JobFacts, *, request: str) -> Claim:
    claim = store.claim(facts, worker_id="worker-a", request=request)
    assert isinstance(claim, Claim)
    return claim


def test_an_expired_id_is_free_again(store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock) -> None:
    first = claimed(store, facts)
    store.finish(first, completed)
    clock.advance(facts.ttl_s)
    reborn = claimed(store, replace(facts, request_sha256="f" * 64)).record
    assert (reborn.fencing_token, reborn.outputs, reborn.expires_at) == (1, (), None)
    assert held(store, facts) == reborn
    with pytest.raises(LeaseLost):
        store.finish(first, completed)


def test_only_what_has_ended_expires(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    store.create(facts, dispatch_by=0)
    clock.advance(facts.ttl_s * 10)
    assert held(store, facts).status is Status.PENDING


@pytest.mark.parametrize("user_id", ["ada", ANONYMOUS])
def test_a_user_s_jobs_come_newest_first_page_by_page(
    store: JobStore, facts: JobFacts, clock: ManualClock, user_id: str
) -> None:
    for number in range(7):
        store.create(replace(facts, job_id=f"job-{number}", user_id=user_id), dispatch_by=0)
        clock.advance(10 * 3600)  # over several days
    pages = [store.list_by_user("acme", user_id, limit=3)]
    while pages[-1].cursor:
        pages.append(store.list_by_user("acme", user_id, cursor=pages[-1].cursor, limit=3))
    assert [job.job_id for page in pages for job in page.jobs] == [f"job-{number}" for number in range(6, -1, -1)]
    assert [len(page.jobs) for page in pages][:2] == [3, 3]


def test_a_list_shows_nobody_else_s_jobs(store: JobStore, facts: JobFacts) -> None:
    store.create(facts, dispatch_by=0)
    store.create(replace(facts, job_id="grace-s", user_id="grace"), dispatch_by=0)
    store.create(replace(facts, job_id="nobody-s", user_id=ANONYMOUS), dispatch_by=0)
    store.create(replace(facts, job_id="theirs", tenant="globex"), dispatch_by=0)
    assert names(store, "ada") == ["job-1"]
    assert names(store, ANONYMOUS) == ["nobody-s"]
    assert names(store, "ada", tenant="globex") == ["theirs"]


def test_a_list_shows_where_each_job_stands(store: JobStore, facts: JobFacts, completed: Outcome) -> None:
    record = store.finish(claimed(store, facts), completed)
    (job,) = store.list_by_user("acme", "ada").jobs
    assert {name: getattr(record, name) for name in vars(job)} == vars(job)


@pytest.mark.parametrize(
    "cursor", ["x", "bm9wbGFjZQ", "YSBi", "%%%", "é"], ids=["short", "one word", "no time", "no base64", "no ascii"]
)
def test_a_cursor_of_no_page_is_refused(store: JobStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        store.list_by_user("acme", "ada", cursor=cursor)


def test_a_job_is_due_by_its_dispatch_deadline_then_by_its_lease(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    store.create(facts, dispatch_by=clock.wall() + 30)
    assert due_everywhere(store) == []
    clock.advance(30)
    assert due_everywhere(store) == ["job-1"]
    claim = claimed(store, facts)
    assert due_everywhere(store) == []
    clock.advance(LEASE_S)
    assert due_everywhere(store) == ["job-1"]
    store.finish(claim, completed)
    assert due_everywhere(store) == []


def test_what_is_due_is_spread_over_the_shards(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    for number in range(40):
        store.create(replace(facts, job_id=f"job-{number}"), dispatch_by=clock.wall())
    shards = [store.due(shard) for shard in range(DUE_SHARDS)]
    assert sum(map(len, shards)) == 40
    assert sum(map(bool, shards)) > DUE_SHARDS // 2


def test_a_store_may_be_prepared_and_closed_at_any_time(store: JobStore, facts: JobFacts) -> None:
    store.prepare()
    store.prepare()
    claim = claimed(store, facts)
    store.close()
    store.close()
    assert held(store, facts) == claim.record


def test_a_job_that_has_ended_is_removed_and_its_id_is_free(store: JobStore, facts: JobFacts) -> None:
    claim = store.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    assert store.remove(facts.key) is False
    store.finish(claim, Outcome(status=Status.COMPLETED))
    assert store.remove(facts.key) is True
    assert store.get(*facts.key) is None
    assert store.remove(facts.key) is False
    assert store.create(facts, dispatch_by=0).status is Status.PENDING
