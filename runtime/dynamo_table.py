"""One DynamoDB table as a store reaches it: its client, opened once, and boto3's errors in our terms."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.aws import AwsAccess, client_config, explain
from runtime.errors import StateUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONNECTIONS = 16
_READ_TIMEOUT_S = 5.0

Item = Mapping[str, Any]


class Conflict(Exception):
    """A write's condition did not hold; `item` is what stands there, where the service says so.

    `was_repeated`: botocore had sent it before, and no answer came: what stands there may be this very write's.
    """

    def __init__(self, item: Item | None, *, was_repeated: bool = False) -> None:
        super().__init__("the item is not what the write needs")
        self.item = item
        self.was_repeated = was_repeated


class DynamoTable:
    """The table `name`. Safe to use from several threads."""

    def __init__(self, name: str, access: AwsAccess | None) -> None:
        self.name = name
        self._access = access or AwsAccess()
        self._lock = threading.Lock()
        self._made: DynamoDBClient | None = None

    def client(self) -> DynamoDBClient:
        """The client, made by the first call."""
        with self._lock:
            if self._made is None:
                config = client_config(read_timeout_s=_READ_TIMEOUT_S, max_pool_connections=_CONNECTIONS)
                session = self._access.session
                self._made = session.client("dynamodb", endpoint_url=self._access.endpoint_url, config=config)
            return self._made

    def close(self) -> None:
        """Give the client back. The next call makes another."""
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    @contextmanager
    def translated(self, operation: str) -> Iterator[None]:
        """A failed condition as Conflict, every other error of boto3's as StateUnavailable."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as exc:
            if isinstance(exc, ClientError) and exc.response["Error"]["Code"] == "ConditionalCheckFailedException":
                found: dict[str, Any] = {**exc.response}
                repeats = found["ResponseMetadata"].get("RetryAttempts", 0)
                raise Conflict(found.get("Item"), was_repeated=repeats > 0) from exc
            raise StateUnavailable(f"{operation} on DynamoDB table {self.name!r} failed: {explain(exc)}") from exc
