from __future__ import annotations

import subprocess
import sys

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from runtime.aws import AwsAccess, explain


@pytest.mark.parametrize("module", ["runtime.jobs.dynamodb", "runtime.jobs.table", "runtime.artifacts.s3"])
def test_importing_a_backend_imports_no_boto3(module: str) -> None:
    code = f"import sys, {module}; print({{'boto3', 'botocore', 'torch'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_an_access_shows_no_secret() -> None:
    access = AwsAccess(access_key_id="AKIDSECRET", secret_access_key="hidden", session_token="hidden")
    assert repr(access) == "AwsAccess(region=None, endpoint_url=None)"


def test_an_access_has_one_session() -> None:
    access = AwsAccess(region="eu-west-1", access_key_id="a", secret_access_key="b")
    assert access.session is access.session
    assert access.session.region_name == "eu-west-1"


def test_an_error_of_aws_is_told_by_its_code() -> None:
    error = ClientError(
        {"Error": {"Code": "AccessDenied", "Message": "AKIDSECRET"}, "ResponseMetadata": {"HTTPStatusCode": 403}},  # type: ignore[typeddict-item]  # as far as it matters
        "PutObject",
    )
    assert explain(error) == "AccessDenied (403): its policy must allow it, see docs/aws.md"


def test_what_mends_missing_credentials_is_told() -> None:
    assert explain(NoCredentialsError()).startswith(
        "NoCredentialsError: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def test_an_error_on_the_way_is_told_by_its_kind() -> None:
    assert explain(EndpointConnectionError(endpoint_url="http://secret")) == "EndpointConnectionError"
