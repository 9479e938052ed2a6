from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from runtime.aws_parameters import VARIABLE, read_parameters
from runtime.errors import SettingsInvalid

REGION = "eu-west-1"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with mock_aws():
        yield


def asked(**named: str) -> dict[str, str]:
    return {"AWS_REGION": REGION, VARIABLE: json.dumps(named)}


def test_nothing_is_asked_of_aws_where_nothing_is_named() -> None:
    assert read_parameters({}) == {}


def test_each_variable_has_its_parameters_value_however_many_there_are(account: None) -> None:
    for number in range(12):
        boto3.client("ssm", region_name=REGION).put_parameter(
            Name=f"/comfyui/{number}", Value=f"value {number}", Type="SecureString"
        )
    named = {f"V{number}": f"/comfyui/{number}" for number in range(12)}
    assert read_parameters(asked(**named, AGAIN="/comfyui/3")) == {
        **{f"V{number}": f"value {number}" for number in range(12)},
        "AGAIN": "value 3",
    }


def test_a_parameter_that_is_not_there_is_named(account: None) -> None:
    with pytest.raises(SettingsInvalid, match="in eu-west-1 has no parameter comfyui/none"):
        read_parameters(asked(RUNPOD_API_KEY="comfyui/none"))


def test_an_account_that_may_not_read_them_is_told_what_it_needs(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")  # nobody answers there
    monkeypatch.setattr("runtime.aws.ATTEMPTS", 1)
    with pytest.raises(SettingsInvalid, match=r"comfyui/a cannot be read: \w+; expected a role that may ssm:GetParam"):
        read_parameters(asked(RUNPOD_API_KEY="comfyui/a"))


@pytest.mark.parametrize("text", ["[1]", "{", '{"A": 1}', '{"A": ""}'])
def test_what_names_no_parameters_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"SSM_PARAMETERS is not what was expected, JSON as in"):
        read_parameters({VARIABLE: text})
