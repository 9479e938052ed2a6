"""Documents in one DynamoDB table, shared by every instance of a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.aws import AwsAccess
from runtime.clock import Clock, SystemClock
from runtime.documents.store import ABSENT, Document
from runtime.documents.table import COLLECTION, EXPIRY, NAME
from runtime.dynamo_table import Conflict, DynamoTable
from runtime.jobs.attributes import from_attributes, to_attributes

_LONGEST_NAME, _LONGEST_COLLECTION = 1024, 2048  # bytes of a sort key and of a partition key
_LIVE = f"(attribute_not_exists({EXPIRY}) OR {EXPIRY} > :now)"
_GONE = f"(attribute_not_exists({COLLECTION}) OR {EXPIRY} <= :now)"


class DynamoDocumentStore:
    """A DocumentStore in the DynamoDB table `table`, which is `table.TABLE`. Each call is one request, as a rule."""

    def __init__(self, table: str, *, access: AwsAccess | None = None, clock: Clock | None = None) -> None:
        self._table = DynamoTable(table, access)
        self._clock = clock or SystemClock()

    def prepare(self) -> None:
        with self._table.translated("prepare"):
            self._table.client()

    def close(self) -> None:
        self._table.close()

    def get(self, collection: str, name: str) -> Document | None:
        if not _can_be(collection, name):
            return None
        with self._table.translated("GetItem"):
            answer = self._table.client().get_item(
                TableName=self._table.name, Key=_key(collection, name), ConsistentRead=True
            )
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
        if not _can_be(collection, name):
            return False
        with self._table.translated("DeleteItem"):
            answer = self._table.client().delete_item(
                TableName=self._table.name, Key=_key(collection, name), ReturnValues="ALL_OLD"
            )
        item = answer.get("Attributes")
        return item is not None and not self._is_expired(item)

    def list(self, collection: str, *, after: str | None = None, limit: int = 100) -> Sequence[Document]:
        found: list[Document] = []
        start: dict[str, Any] = {"ExclusiveStartKey": _key(collection, after)} if after else {}
        while len(found) < limit:
            with self._table.translated("Query"):
                answer = self._table.client().query(
                    TableName=self._table.name,
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
            with self._table.translated("UpdateItem"):
                answer = self._table.client().update_item(
                    TableName=self._table.name,
                    Key=_key(collection, name),
                    UpdateExpression="SET #value.#count = #value.#count + :amount",
                    ConditionExpression=f"attribute_exists({COLLECTION}) AND {condition}",
                    ExpressionAttributeNames={"#value": "value", "#count": "count"},
                    ExpressionAttributeValues=to_attributes(
                        {":amount": amount, ":room": room, ":now": self._clock.wall()}
                    ),
                    ReturnValues="ALL_NEW",
                )
        except Conflict:
            return None
        return int(_document(answer["Attributes"]).value["count"])

    def _put_over(
        self, collection: str, name: str, value: Mapping[str, Any], over: int, expires_at: int | None
    ) -> Document | None:
        held = {"value": value, "version": over + 1, **({EXPIRY: expires_at} if expires_at is not None else {})}
        versions = {} if over == ABSENT else {":over": over}
        condition = _GONE if over == ABSENT else f"version = :over AND {_LIVE}"
        try:
            with self._table.translated("PutItem"):
                self._table.client().put_item(
                    TableName=self._table.name,
                    Item={**_key(collection, name), **to_attributes(held)},
                    ConditionExpression=condition,
                    ExpressionAttributeValues=to_attributes({":now": self._clock.wall(), **versions}),
                )
        except Conflict as exc:
            if not exc.was_repeated or not self._stands(collection, name, value, over + 1):
                return None
        return Document(name=name, value=value, version=over + 1)

    def _stands(self, collection: str, name: str, value: Mapping[str, Any], version: int) -> bool:
        """Whether this is what stands there: of a write whose answer was lost, its own work."""
        found = self.get(collection, name)
        return found is not None and (found.version, found.value) == (version, value)

    def _is_expired(self, item: Mapping[str, Any]) -> bool:
        return EXPIRY in item and float(item[EXPIRY]["N"]) <= self._clock.wall()


def _can_be(collection: str, name: str) -> bool:
    """Whether DynamoDB takes these for a key; what it does not, nobody can have put."""
    return 0 < len(_bytes(name)) <= _LONGEST_NAME and len(_bytes(collection)) <= _LONGEST_COLLECTION


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _key(collection: str, name: str) -> dict[str, Any]:
    return to_attributes({COLLECTION: collection, NAME: name})


def _document(item: Mapping[str, Any]) -> Document:
    plain = from_attributes(item)
    return Document(name=plain[NAME], value=plain["value"], version=plain["version"])
