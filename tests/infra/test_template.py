from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.template import TEMPLATE, Change, changes, parse_template
from runtime.documents import table as documents
from runtime.jobs.table import EXPIRY, TABLE

WANTED = parse_template(TEMPLATE.read_text(encoding="utf-8"))
RESOURCES = WANTED["Resources"]


def actions(found: list[Change]) -> dict[str, str]:
    return {change.logical_id: change.action for change in found}


def test_cfn_lint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([linter, TEMPLATE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_table_is_the_one_that_the_job_store_uses() -> None:
    made = RESOURCES["Table"]["Properties"]
    assert {name: made[name] for name in TABLE} == TABLE
    assert made["TimeToLiveSpecification"] == {"AttributeName": EXPIRY, "Enabled": True}


def test_the_documents_are_the_ones_that_their_store_uses() -> None:
    made = RESOURCES["Documents"]["Properties"]
    assert {name: made[name] for name in documents.TABLE} == documents.TABLE
    assert made["TimeToLiveSpecification"] == {"AttributeName": documents.EXPIRY, "Enabled": True}


def test_nothing_that_holds_data_goes_with_the_stack() -> None:
    assert {name for name, made in RESOURCES.items() if made.get("DeletionPolicy") == "Retain"} == {
        "Table",
        "Documents",
        "Bucket",
    }


def test_no_policy_allows_everything_of_a_service() -> None:
    statements = [
        statement
        for made in RESOURCES.values()
        if made["Type"] == "AWS::IAM::ManagedPolicy"
        for statement in made["Properties"]["PolicyDocument"]["Statement"]
    ]
    for statement in statements:
        named = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in named)
        assert statement["Resource"] != "*"


def test_short_forms_are_written_out() -> None:
    text = "Resources: {A: {Type: T, Properties: {X: !Ref P, Y: !GetAtt B.Arn, Z: !If [C, 1, 2]}}}"
    assert parse_template(text)["Resources"]["A"]["Properties"] == {
        "X": {"Ref": "P"},
        "Y": {"Fn::GetAtt": ["B", "Arn"]},
        "Z": {"Fn::If": ["C", 1, 2]},
    }


@pytest.mark.parametrize("text", ["a: 1", "[]", "Resources: 3"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has no Resources"):
        parse_template(text)


def test_everything_is_created_where_nothing_is() -> None:
    assert set(actions(changes(None, WANTED, before={}, after={})).values()) == {"create"}


def test_the_same_template_with_the_same_parameters_changes_nothing() -> None:
    assert set(actions(changes(WANTED, WANTED, before={}, after={})).values()) == {"keep"}


def test_a_parameter_changes_the_resources_that_it_goes_into() -> None:
    found = changes(WANTED, WANTED, before={"OutputDays": "30"}, after={"OutputDays": "7"})
    assert [(change.logical_id, change.where) for change in found if change.action != "keep"] == [
        ("Bucket", ("LifecycleConfiguration",))
    ]


def test_a_condition_brings_its_resources_and_takes_them_away() -> None:
    on = {"AlarmEmail": "ops@example.org"}
    assert actions(changes(WANTED, WANTED, before={}, after=on))["AlarmTopic"] == "create"
    assert actions(changes(WANTED, WANTED, before=on, after={}))["AlarmTopic"] == "delete"


def test_a_resource_that_the_new_template_lacks_is_deleted() -> None:
    fewer: dict[str, Any] = {**WANTED, "Resources": {k: v for k, v in RESOURCES.items() if k != "JobsAreDead"}}
    assert actions(changes(WANTED, fewer, before={}, after={}))["JobsAreDead"] == "delete"
