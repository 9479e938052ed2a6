"""What the sweeper on Lambda is told beyond its stack: where jobs are sent again, and which secrets it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.deploy.config import AwsConfig
from infra.deploy.errors import DeployError
from infra.deploy.sweeper_code import NEEDED
from runtime.api.dispatch.build import build_remote, names_of
from runtime.aws_parameters import VARIABLE
from runtime.errors import SettingsInvalid
from runtime.settings import Settings

_MODAL_TOKEN = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
_UNREAD = "*" * 64
"""In the place of a secret, which is read where the function runs, never here."""


def libraries(aws: AwsConfig) -> tuple[str, ...]:
    """The distributions that its code needs: Modal is called by its own package."""
    return (*NEEDED, "modal") if "modal" in names_of(_settings(aws)) else NEEDED


def tell(resources: Mapping[str, Any], aws: AwsConfig) -> None:
    """Write into the template's `Sweeper` its variables, and into its role that it may read its parameters.

    A secret's value is read by the function itself: whoever may look at the function does not see it. Raises
    DeployError for variables with which it could not send a job again.
    """
    _check(aws)
    variables = resources["Sweeper"]["Properties"]["Environment"]["Variables"]
    variables |= aws.sweeper_env
    if aws.sweeper_secrets:
        variables[VARIABLE] = json.dumps(dict(sorted(aws.sweeper_secrets.items())))
        arns = [parameter_arn(name) for name in sorted(set(aws.sweeper_secrets.values()))]
        resources["SweeperRole"]["Properties"]["Policies"].append(reading(arns))


def parameter_arn(name: str) -> dict[str, str]:
    """A parameter of Systems Manager, by its name."""
    place = name.removeprefix("/")
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter/{place}"}


def reading(arns: list[dict[str, str]]) -> dict[str, Any]:
    """A role's policy to read these parameters, those that the account's own key of Systems Manager holds shut."""
    statement = {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": arns}
    return {"PolicyName": "secrets", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _check(aws: AwsConfig) -> None:
    settings = _settings(aws)
    missing = [name for name in _MODAL_TOKEN if name not in aws.sweeper_secrets]
    try:
        build_remote(settings)
    except SettingsInvalid as exc:
        raise DeployError(f"aws.sweeper_env and aws.sweeper_secrets: {exc.message}") from exc
    if "modal" in names_of(settings) and missing:
        raise DeployError(
            f"aws.sweeper_env.DISPATCH names modal, and aws.sweeper_secrets has no {' and no '.join(missing)}: make a "
            "token at https://modal.com/settings/tokens, and put its halves into Systems Manager's parameter store by "
            "`aws ssm put-parameter --type SecureString --name NAME --value ...`"
        )


def _settings(aws: AwsConfig) -> Settings:
    """As the function will read them, with the stack's own names in."""
    stack = {"DYNAMODB_TABLE": "t", "S3_BUCKET": "bucket", "SQS_QUEUE_URL": "https://sqs/t", "AWS_REGION": "eu-west-1"}
    secrets = {name: _UNREAD for name in aws.sweeper_secrets if name in ("RUNPOD_API_KEY", "SECRET_KEY")}
    try:
        return Settings.from_env({"ENVIRONMENT": "production", **stack, **aws.sweeper_env, **secrets})
    except SettingsInvalid as exc:
        raise DeployError(f"aws.sweeper_env: {exc.message}") from exc
