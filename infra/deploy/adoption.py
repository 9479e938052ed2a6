"""Tables and buckets that an earlier stack left behind, so that a new one has them with what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from infra.deploy.template import substituted

if TYPE_CHECKING:
    from boto3.session import Session

_NAMES = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName"}


def left_behind(session: Session, template: Mapping[str, Any], parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the template retains and is there already, as CloudFormation's `ResourcesToImport`."""
    retained = [
        (logical_id, resource)
        for logical_id, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") == "Retain" and resource["Type"] in _NAMES
    ]
    return list(_there(session, retained, parameters)) if retained else []


def only(template: Mapping[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    """The template of these alone: an import makes nothing else, and takes no outputs."""
    resources = {one["LogicalResourceId"]: template["Resources"][one["LogicalResourceId"]] for one in found}
    return {**{key: value for key, value in template.items() if key != "Outputs"}, "Resources": resources}


def _there(
    session: Session, retained: list[tuple[str, Mapping[str, Any]]], parameters: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    account = session.client("sts").get_caller_identity()["Account"]
    values = {**parameters, "AWS::AccountId": account, "AWS::Region": str(session.region_name)}
    for logical_id, resource in retained:
        field = _NAMES[resource["Type"]]
        name = substituted(resource["Properties"][field]["Fn::Sub"], values)
        if _exists(session, resource["Type"], name):
            yield {
                "ResourceType": resource["Type"],
                "LogicalResourceId": logical_id,
                "ResourceIdentifier": {field: name},
            }


def _exists(session: Session, kind: str, name: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        if kind == "AWS::S3::Bucket":
            session.client("s3").head_bucket(Bucket=name)
        else:
            session.client("dynamodb").describe_table(TableName=name)
    except ClientError as exc:
        if exc.response["Error"]["Code"] in ("404", "ResourceNotFoundException"):
            return False
        raise
    return True
