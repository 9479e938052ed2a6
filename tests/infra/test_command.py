from __future__ import annotations

import sys
from pathlib import Path

import pytest
from boto3.session import Session

from infra.deploy.command import main

pytestmark = pytest.mark.filterwarnings(
    "ignore:Tried to parse AWS..(S3..BucketPolicy|SQS..QueuePolicy|CloudWatch..Alarm).*:UserWarning"
)

GOLDEN = Path(__file__).parent / "golden" / "aws.txt"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_plan_of_a_new_stack_names_every_resource_and_call(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["aws", "--plan"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()
    assert session.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_plan_needs_no_credentials(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert main(["aws", "--plan"]) == 0
    shown = capsys.readouterr()
    assert shown.out == GOLDEN.read_text()
    assert "was not asked: no AWS region is set" in shown.err


def test_what_is_not_installed_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    assert main(["aws", "--plan"]) == 1
    assert "botocore.exceptions is not installed; ./scripts/deploy brings it" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_made_unless_yes_is_said(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["aws"]) == 1
    assert "say --yes" in capsys.readouterr().err
    assert session.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_deployment_is_made_shown_and_taken_down(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aws", "--yes"]) == 0
    assert "DYNAMODB_TABLE=comfyui-production-jobs\n" in capsys.readouterr().out
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "as the file says" in shown
    assert "NormalQueue  0 waiting" in shown
    assert main(["destroy", "--yes"]) == 0
    assert "stay" in capsys.readouterr().out
    assert main(["status"]) == 1
    assert "there is no stack comfyui-production" in capsys.readouterr().err


def test_status_shows_what_differs_from_the_file(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["aws", "--yes"])
    (tmp_path / "deploy.yaml").write_text("aws: {output_days: 7}\n")
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "~ Bucket               AWS::S3::Bucket (LifecycleConfiguration)" in capsys.readouterr().out


def test_a_wrong_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.yaml").write_text("name: 3\n")
    assert main(["aws", "--plan"]) == 1
    assert "deploy.yaml:1: name is 3" in capsys.readouterr().err
