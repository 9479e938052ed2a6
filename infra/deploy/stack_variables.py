"""What workers need to know of the table, the bucket and the queues."""

from __future__ import annotations

from infra.deploy.aws import AwsStack
from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError

NAMES = (
    "AWS_REGION",
    "DYNAMODB_TABLE",
    "DYNAMODB_DOCUMENTS_TABLE",
    "S3_BUCKET",
    "SQS_QUEUE_URL_HIGH",
    "SQS_QUEUE_URL",
    "SQS_QUEUE_URL_LOW",
    "SQS_DEAD_LETTER_URL",
)


def stack_variables(config: DeployConfig, *, offline: bool = False) -> dict[str, str]:
    """The variables of the deployment's stack on AWS; those that stand in deploy.yaml's env instead, where all do.

    `offline`: what cannot be known without asking is `(deploy aws)`. Raises DeployError where there is no stack.
    """
    given = {name: config.env[name] for name in NAMES if name in config.env}
    if len(given) == len(NAMES):
        return given
    if offline:
        return {name: given.get(name, "(deploy aws)") for name in NAMES}
    stack = AwsStack(config)
    deployed = stack.deployed()
    if deployed is None:
        raise DeployError(
            f"there is no stack {stack.name}, whose table, bucket and queues the workers use: "
            f"`comfyui-serverless deploy aws` makes it, or put {', '.join(NAMES)} into env of deploy.yaml"
        )
    return {**stack.variables(deployed), **given}
