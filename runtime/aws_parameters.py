"""Secrets from Systems Manager's parameter store: a function's own variables are seen by all who may look at it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runtime.aws import AwsAccess, client_config, explain
from runtime.errors import SettingsInvalid

VARIABLE = "SSM_PARAMETERS"
"""JSON: variables, each with the name of the parameter that holds its value."""
_MOST = 10
_READ_TIMEOUT_S = 10.0


def read_parameters(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that SSM_PARAMETERS names, with their values; none where it is not set.

    Raises SettingsInvalid naming the parameters that are not there or may not be read.
    """
    wanted = _wanted(env.get(VARIABLE) or "{}")
    names = sorted(set(wanted.values()))
    found: dict[str, str] = {}
    for start in range(0, len(names), _MOST):
        found |= _values(names[start : start + _MOST], region=env.get("AWS_REGION"))
    return {variable: found[name] for variable, name in wanted.items()}


def _wanted(text: str) -> dict[str, str]:
    expected = f'{VARIABLE} is not what was expected, JSON as in {{"RUNPOD_API_KEY": "comfyui/runpod"}}'
    try:
        wanted = json.loads(text)
    except ValueError as exc:
        raise SettingsInvalid(expected) from exc
    if not isinstance(wanted, dict) or not all(isinstance(name, str) and name for name in wanted.values()):
        raise SettingsInvalid(expected)
    return wanted


def _values(names: list[str], *, region: str | None) -> dict[str, str]:
    from botocore.exceptions import BotoCoreError, ClientError

    session = AwsAccess(region=region).session
    try:
        client = session.client("ssm", config=client_config(read_timeout_s=_READ_TIMEOUT_S))
        answer = client.get_parameters(Names=names, WithDecryption=True)
    except (BotoCoreError, ClientError) as exc:
        raise SettingsInvalid(
            f"Systems Manager's parameters {', '.join(names)} cannot be read: {explain(exc)}; expected a role that may "
            "ssm:GetParameters of them"
        ) from exc
    if answer["InvalidParameters"]:
        raise SettingsInvalid(
            f"Systems Manager in {session.region_name} has no parameter {', '.join(answer['InvalidParameters'])}: "
            "`aws ssm put-parameter --type SecureString --name NAME --value ...` makes one"
        )
    return {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
