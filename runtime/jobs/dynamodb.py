"""Job state in one DynamoDB table, shared by every worker of a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from runtime.aws import AwsAccess
from runtime.clock import Clock, SystemClock
from runtime.dynamo_table import Conflict, DynamoTable, Item
from runtime.errors import StateUnavailable
from runtime.jobs import overflow, transitions
from runtime.jobs.attributes import from_attributes, to_attribute, to_attributes
from runtime.jobs.codec import from_document, to_document, to_summary
from runtime.jobs.moves import JobMoves, Moved
from runtime.jobs.overflow import Blobs
from runtime.jobs.record import ANONYMOUS, JobKey, JobRecord, JobSummary, Status
from runtime.jobs.store import ANONYMOUS_DAYS, EXAMINED, Page, due_shard, likeness_key, read_cursor, write_cursor
from runtime.jobs.table import BY_DUE, BY_LIKENESS, BY_USER, EXPIRY, KEY
from runtime.jobs.update_expression import update_expression

_LONGEST_KEY = 512  # DynamoDB itself refuses keys of 2048 bytes; a tenant and a job's id have 64 characters each
_CONFLICTS = 10
"""How often a move is tried again because another caller moved the job meanwhile."""


class DynamoJobStore(JobMoves):
    """A JobStore in the DynamoDB table `table`, which is `table.TABLE`.

    A job that is claimed as it comes in costs two writes and one a heartbeat, and no read. What is too large for an
    item goes to `blobs`; without one the item holds it all, up to DynamoDB's 400 kB.
    """

    def __init__(
        self, table: str, *, access: AwsAccess | None = None, blobs: Blobs | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(clock or SystemClock())
        self._table = DynamoTable(table, access)
        self._blobs = blobs

    def prepare(self) -> None:
        with self._table.translated("prepare"):
            self._table.client()

    def close(self) -> None:
        self._table.close()

    def get(self, tenant: str, job_id: str) -> JobRecord | None:
        return self._record(self._item(JobKey(tenant, job_id)))

    def request_of(self, tenant: str, job_id: str) -> str | None:
        item = self._item(JobKey(tenant, job_id))
        if item is None or self._is_expired(item):
            return None
        return overflow.get_request(from_attributes(item), self._blobs)

    def list_by_user(
        self,
        tenant: str,
        user_id: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
        status: Status | None = None,
    ) -> Page:
        after = read_cursor(cursor) if cursor else None
        jobs: list[JobSummary] = []
        examined = 0
        for user_key in self._user_keys(tenant, user_id, after):
            for job in self._listed(tenant, user_key, after, limit - len(jobs) if status is None else EXAMINED // 4):
                examined += 1
                if status is None or job.status is status:
                    jobs.append(job)
                if len(jobs) == limit or (status is not None and examined == EXAMINED):
                    return Page(jobs=tuple(jobs), cursor=write_cursor(job.created_at, job.job_id))
            after = None
        return Page(jobs=tuple(jobs), cursor=None)

    def list_alike(self, tenant: str, engine: str, likeness: str, *, limit: int = 50) -> Sequence[JobSummary]:
        items, _ = self._query(BY_LIKENESS, "likeness_key", f"{tenant}#{engine}#{likeness}", None, limit)
        return [to_summary(from_attributes(item)) for item in items]

    def due(self, shard: int, *, limit: int = 100) -> Sequence[JobKey]:
        with self._table.translated("Query"):
            answer = self._table.client().query(
                TableName=self._table.name,
                IndexName=BY_DUE,
                KeyConditionExpression="due_shard = :shard AND due_at <= :now",
                ExpressionAttributeValues=to_attributes({":shard": shard, ":now": self._clock.wall()}),
                Limit=limit,
            )
        return [JobKey(*item[KEY]["S"].split("#", 1)) for item in answer["Items"]]

    def remove(self, key: JobKey) -> bool:
        try:
            with self._table.translated("DeleteItem"):
                self._table.client().delete_item(
                    TableName=self._table.name,
                    Key={KEY: to_attribute(str(key))},
                    ConditionExpression=f"{EXPIRY} > :now",
                    ExpressionAttributeValues=to_attributes({":now": self._clock.wall()}),
                )
        except Conflict:
            return False
        return True

    def leave_due(self, key: JobKey) -> None:
        with suppress(Conflict), self._table.translated("UpdateItem"):
            self._table.client().update_item(
                TableName=self._table.name,
                Key={KEY: to_attribute(str(key))},
                UpdateExpression="REMOVE due_at",
                ConditionExpression=f"{EXPIRY} <= :now",
                ExpressionAttributeValues=to_attributes({":now": self._clock.wall()}),
            )

    def _move(
        self, key: JobKey, move: transitions.Move, *, known: JobRecord | None, request: str | None = None
    ) -> Moved:
        before = known
        for _ in range(_CONFLICTS):
            after = transitions.apply(move, before)
            if after is None or after is before:
                return Moved(record=before, changed=False)
            try:
                self._write(before, after, request)
                return Moved(record=after, changed=True)
            except Conflict as conflict:
                before = self._record(conflict.item or self._item(key))
            if before == after:  # written by ourselves: the answer was lost, and botocore sent it again
                return Moved(record=after, changed=True)
        raise StateUnavailable(f"job {key.job_id!r} was changed {_CONFLICTS} times by others while it was to be moved")

    def _write(self, before: JobRecord | None, after: JobRecord, request: str | None) -> None:
        document = overflow.put_details(to_document(after), self._blobs)
        alike = likeness_key(after) if before and not before.status.is_terminal else None
        if alike is not None:
            document = {**document, "likeness_key": alike}
        if before is None:
            self._put(after.key, document, request)
        else:
            kept = request if after.status is Status.PENDING else None
            self._update(before, {**document, **self._held(after.key, kept)})

    def _put(self, key: JobKey, document: Item, request: str | None) -> None:
        extra = {KEY: str(key), "user_key": _user_key(document), "due_shard": due_shard(key)}
        with self._table.translated("PutItem"):
            self._table.client().put_item(
                TableName=self._table.name,
                Item=to_attributes({**document, **extra, **self._held(key, request)}),
                ConditionExpression=f"attribute_not_exists({KEY}) OR {EXPIRY} <= :now",
                ExpressionAttributeValues=to_attributes({":now": self._clock.wall()}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )

    def _held(self, key: JobKey, request: str | None) -> Item:
        return {} if request is None else overflow.put_request(key, request, self._blobs)

    def _update(self, before: JobRecord, document: Item) -> None:
        with self._table.translated("UpdateItem"):
            self._table.client().update_item(
                TableName=self._table.name,
                Key={KEY: to_attribute(str(before.key))},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update_expression(to_document(before), document),
            )

    def _item(self, key: JobKey) -> Item | None:
        if len(str(key)) > _LONGEST_KEY:
            return None
        with self._table.translated("GetItem"):
            answer = self._table.client().get_item(
                TableName=self._table.name, Key={KEY: to_attribute(str(key))}, ConsistentRead=True
            )
        return answer.get("Item")

    def _record(self, item: Item | None) -> JobRecord | None:
        if item is None or self._is_expired(item):
            return None
        return from_document(overflow.get_details(from_attributes(item), self._blobs))

    def _is_expired(self, item: Item) -> bool:
        return EXPIRY in item and int(item[EXPIRY]["N"]) <= self._clock.wall()

    def _user_keys(self, tenant: str, user_id: str, after: tuple[str, str] | None) -> Iterator[str]:
        """The partitions that a user's jobs are in, newest first."""
        if user_id != ANONYMOUS:
            yield f"{tenant}#user#{user_id}"
            return
        today = datetime.fromtimestamp(self._clock.wall(), timezone.utc).date()
        for days in range(-1, ANONYMOUS_DAYS):  # from tomorrow on: another machine's clock may be ahead
            day = (today - timedelta(days=days)).isoformat()
            if after is None or day <= after[0][: len(day)]:
                yield f"{tenant}#day#{day}"

    def _listed(self, tenant: str, user_key: str, after: tuple[str, str] | None, limit: int) -> Iterator[JobSummary]:
        """The jobs of one partition that have not expired, newest first, from behind `after` on."""
        start = _place(tenant, user_key, after) if after and _is_in(user_key, after) else None
        while True:
            items, start = self._query(BY_USER, "user_key", user_key, start, limit)
            yield from (to_summary(from_attributes(item)) for item in items)
            if start is None:
                return

    def _query(
        self, index: str, attribute: str, value: str, start: Item | None, limit: int
    ) -> tuple[Sequence[Item], Item | None]:
        """Jobs of one partition of an index that have not expired, last first, and where the rest begins."""
        resumed: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
        with self._table.translated("Query"):
            answer = self._table.client().query(
                TableName=self._table.name,
                IndexName=index,
                KeyConditionExpression=f"{attribute} = :value",
                FilterExpression=f"attribute_not_exists({EXPIRY}) OR {EXPIRY} > :now",
                ExpressionAttributeValues=to_attributes({":value": value, ":now": self._clock.wall()}),
                ScanIndexForward=False,
                Limit=limit,
                **resumed,
            )
        return answer["Items"], answer.get("LastEvaluatedKey")


def _user_key(document: Item) -> str:
    """Anonymous jobs have a partition a day, so that none grows without end."""
    if document["user_id"] != ANONYMOUS:
        return f"{document['tenant']}#user#{document['user_id']}"
    return f"{document['tenant']}#day#{document['created_at'][:10]}"


def _is_in(user_key: str, after: tuple[str, str]) -> bool:
    return "#day#" not in user_key or user_key.endswith(f"#day#{after[0][:10]}")


def _place(tenant: str, user_key: str, after: tuple[str, str]) -> Item:
    created_at, job_id = after
    return to_attributes({KEY: str(JobKey(tenant, job_id)), "user_key": user_key, "created_at": created_at})
