"""Documents in one DynamoDB table, shared by every instance of a deployment."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.aws import AwsAccess, client_config, explain
from runtime.clock import Clock, SystemClock
from runtime.documents.store import ABSENT, Document
from runtime.documents.table import COLLECTION, EXPIRY, NAME
from runtime.errors import StateUnavailable
from runtime.jobs.attributes import from_attributes, to_attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONNECTIONS = 16
_READ_TIMEOUT_S = 5.0
_LIVE = f"(attribute_not_exists({EXPIRY}) OR {EXPIRY} > :now)"
_GONE = f"(attribute_not_exists({COLLECTION}) OR {EXPIRY} <= :now)"


class DynamoDocumentStore:
    """A DocumentStore in the DynamoDB table `table`, which is `table.TABLE`. Each call is one request, as a rule."""

    def __init__(self, table: str, *, access: AwsAccess | None = None, clock: Clock | None = None) -> None:
        self._table = table
        self._access = access or AwsAccess()
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._made: DynamoDBClient | None = None

    def prepare(self) -> None:
        with self._translated("prepare"):
            self._client()

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    def get(self, collection: str, name: str) -> Document | None:
        with self._translated("GetItem"):
            answer = self._client().get_item(TableName=self._table, Key=_key(collection, name), ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None or self._is_expired(item) else _document(item)

    def put(
        self,
        collection: str,
        name: str,
        value: Mapping[str, Any],
        *,
        over: int | None = None,
        expires_at: int | None = None,
    ) -> Document | None:
        if over is not None:
            return self._put_over(collection, name, value, over, expires_at)
        while True:  # whatever stands there, its version goes on
            found = self.get(collection, name)
            put = self._put_over(collection, name, value, found.version if found else ABSENT, expires_at)
            if put is not None:
                return put

    def delete(self, collection: str, name: str) -> bool:
        with self._translated("DeleteItem"):
            answer = self._client().delete_item(
                TableName=self._table, Key=_key(collection, name), ReturnValues="ALL_OLD"
            )
        item = answer.get("Attributes")
        return item is not None and not self._is_expired(item)

    def list(self, collection: str, *, after: str | None = None, limit: int = 100) -> Sequence[Document]:
        found: list[Document] = []
        start: dict[str, Any] = {"ExclusiveStartKey": _key(collection, after)} if after else {}
        while len(found) < limit:
            with self._translated("Query"):
                answer = self._client().query(
                    TableName=self._table,
                    ConsistentRead=True,
                    KeyConditionExpression=f"{COLLECTION} = :collection",
                    FilterExpression=_LIVE,
                    ExpressionAttributeValues=to_attributes({":collection": collection, ":now": self._clock.wall()}),
                    Limit=limit - len(found),
                    **start,
                )
            found += map(_document, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found

    def count(self, collection: str, name: str, *, amount: int, at_most: int, expires_at: int) -> int | None:
        room = f"(attribute_not_exists(#value) OR #value.#count <= :room) AND {_LIVE}"
        added = self._add(collection, name, amount=amount, room=at_most - amount, condition=room)
        if added is not None:
            return added
        first = {"count": amount, "ends": expires_at}
        if amount <= at_most and self._put_over(collection, name, first, ABSENT, expires_at):
            return amount
        return self._add(collection, name, amount=amount, room=at_most - amount, condition=room)

    def _add(self, collection: str, name: str, *, amount: int, room: int, condition: str) -> int | None:
        try:
            with self._translated("UpdateItem"):
                answer = self._client().update_item(
                    TableName=self._table,
                    Key=_key(collection, name),
                    UpdateExpression="SET #value.#count = #value.#count + :amount",
                    ConditionExpression=f"attribute_exists({COLLECTION}) AND {condition}",
                    ExpressionAttributeNames={"#value": "value", "#count": "count"},
                    ExpressionAttributeValues=to_attributes(
                        {":amount": amount, ":room": room, ":now": self._clock.wall()}
                    ),
                    ReturnValues="ALL_NEW",
                )
        except _Conflict:
            return None
        return int(_document(answer["Attributes"]).value["count"])

    def _put_over(
        self, collection: str, name: str, value: Mapping[str, Any], over: int, expires_at: int | None
    ) -> Document | None:
        held = {"value": value, "version": over + 1, **({EXPIRY: expires_at} if expires_at is not None else {})}
        versions = {} if over == ABSENT else {":over": over}
        condition = _GONE if over == ABSENT else f"version = :over AND {_LIVE}"
        try:
            with self._translated("PutItem"):
                self._client().put_item(
                    TableName=self._table,
                    Item={**_key(collection, name), **to_attributes(held)},
                    ConditionExpression=condition,
                    ExpressionAttributeValues=to_attributes({":now": self._clock.wall(), **versions}),
                )
        except _Conflict:
            return None
        return Document(name=name, value=value, version=over + 1)

    def _is_expired(self, item: Mapping[str, Any]) -> bool:
        return EXPIRY in item and float(item[EXPIRY]["N"]) <= self._clock.wall()

    def _client(self) -> DynamoDBClient:
        with self._lock:
            if self._made is None:
                config = client_config(read_timeout_s=_READ_TIMEOUT_S, max_pool_connections=_CONNECTIONS)
                session = self._access.session
                self._made = session.client("dynamodb", endpoint_url=self._access.endpoint_url, config=config)
            return self._made

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        """A failed condition as _Conflict, every other error of boto3's as StateUnavailable."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as exc:
            if isinstance(exc, ClientError) and exc.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise _Conflict from exc
            raise StateUnavailable(f"{operation} on DynamoDB table {self._table!r} failed: {explain(exc)}") from exc


class _Conflict(Exception):
    """A write's condition did not hold."""


def _key(collection: str, name: str) -> dict[str, Any]:
    return to_attributes({COLLECTION: collection, NAME: name})


def _document(item: Mapping[str, Any]) -> Document:
    plain = from_attributes(item)
    return Document(name=plain[NAME], value=plain["value"], version=plain["version"])
