"""The DynamoDB table of jobs, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runtime.jobs.codec import SUMMARY_FIELDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = "pk"
BY_USER = "by_user"
BY_DUE = "by_due"
BY_LIKENESS = "by_likeness"
EXPIRY = "expires_at"

_LISTED = [name for name in (*SUMMARY_FIELDS, EXPIRY) if name != "created_at"]
_ALIKE = ["job_id", "status", "user_id", "created_at", "started_at", "gpu_seconds", EXPIRY]

TABLE: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": KEY, "AttributeType": "S"},
        {"AttributeName": "user_key", "AttributeType": "S"},
        {"AttributeName": "created_at", "AttributeType": "S"},
        {"AttributeName": "due_shard", "AttributeType": "N"},
        {"AttributeName": "due_at", "AttributeType": "N"},
        {"AttributeName": "likeness_key", "AttributeType": "S"},
        {"AttributeName": "finished_at", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": BY_USER,
            "KeySchema": [
                {"AttributeName": "user_key", "KeyType": "HASH"},
                {"AttributeName": "created_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": _LISTED},
        },
        {
            "IndexName": BY_DUE,
            "KeySchema": [
                {"AttributeName": "due_shard", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": BY_LIKENESS,
            "KeySchema": [
                {"AttributeName": "likeness_key", "KeyType": "HASH"},
                {"AttributeName": "finished_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": _ALIKE},
        },
    ],
}
"""`CreateTable`'s arguments but for the name. A heartbeat moves `due_at` alone, so it leaves `by_user` as it is."""


def create_table(client: DynamoDBClient, name: str) -> None:
    """Make the table `name` and wait until it takes items. Raises botocore's ClientError where it cannot."""
    client.create_table(TableName=name, **TABLE)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def add_indexes(client: DynamoDBClient, name: str) -> list[str]:
    """Give a table of an earlier release the indexes that it lacks, and answer their names.

    DynamoDB fills one at a time, in the background; until then what is asked of it fails, and jobs run as ever.
    """
    known = client.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", [])
    lacking = [index for index in TABLE["GlobalSecondaryIndexes"] if index["IndexName"] not in _names(known)]
    for index in lacking:
        client.update_table(
            TableName=name,
            AttributeDefinitions=TABLE["AttributeDefinitions"],
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )
    return sorted(_names(lacking))


def _names(indexes: Iterable[Mapping[str, Any]]) -> set[str]:
    return {index["IndexName"] for index in indexes}


def expire_items(client: DynamoDBClient, name: str) -> None:
    """Let DynamoDB delete the items of the table `name` that are past `expires_at`."""
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRY})
