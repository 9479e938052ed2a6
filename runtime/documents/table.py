"""The DynamoDB table of documents, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COLLECTION = "pk"
NAME = "sk"
EXPIRY = "expires_at"

TABLE: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": COLLECTION, "AttributeType": "S"},
        {"AttributeName": NAME, "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": COLLECTION, "KeyType": "HASH"},
        {"AttributeName": NAME, "KeyType": "RANGE"},
    ],
}
"""`CreateTable`'s arguments but for the name."""


def create_documents_table(client: DynamoDBClient, name: str) -> None:
    """Make the table `name` and wait until it takes items. Raises botocore's ClientError where it cannot."""
    client.create_table(TableName=name, **TABLE)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
