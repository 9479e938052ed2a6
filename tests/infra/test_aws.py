"""The stack on moto: what it makes is what stores and workers use, and nothing is lost by taking it down."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.core import set_initial_no_auth_action_count
from moto.dynamodb.responses import DynamoHandler
from PIL import Image

from handlers import sqs_worker
from infra.deploy.aws import AwsStack, Deployed
from infra.deploy.config import AwsConfig, DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.smoke import RGB, SIDE, smoke_request
from runtime.artifacts.s3 import S3ArtifactStore
from runtime.aws import AwsAccess
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, Outcome, Status

pytestmark = pytest.mark.filterwarnings(
    "ignore:Tried to parse AWS..(S3..BucketPolicy|SQS..QueuePolicy|CloudWatch..Alarm).*:UserWarning"
)

REGION = "eu-west-1"
FACTS = JobFacts(tenant="t", job_id="j", request_sha256="r", workflow_sha256="w")


def stack(session: Session, **aws: Any) -> AwsStack:
    return AwsStack(DeployConfig(aws=AwsConfig(region=REGION, **aws)), session=session, poll_s=1)


def made(session: Session, **aws: Any) -> Deployed:
    return stack(session, **aws).apply(None)


def test_a_job_lives_in_the_table_and_the_bucket_that_were_made(session: Session) -> None:
    variables = stack(session).variables(made(session))
    files = S3ArtifactStore(variables["S3_BUCKET"], access=AwsAccess(region=REGION))
    jobs = DynamoJobStore(variables["DYNAMODB_TABLE"], access=AwsAccess(region=REGION), blobs=files)
    files.put("outputs/t/j/1/a.png", b"picture", "image/png")
    claim = jobs.claim(FACTS, worker_id="w")
    assert isinstance(claim, Claim)
    jobs.finish(claim, Outcome(status=Status.COMPLETED))
    assert files.get("outputs/t/j/1/a.png") == b"picture"
    assert [job.job_id for job in jobs.list_by_user("t", "anonymous").jobs] == ["j"]


def test_the_variables_name_four_queues_that_take_messages(session: Session) -> None:
    variables = stack(session).variables(made(session))
    queues = [value for name, value in variables.items() if name.startswith("SQS_")]
    for url in queues:
        session.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    assert len(set(queues)) == 4
    assert set(stack(session).waiting(made_again(session)).values()) == {1}


def made_again(session: Session) -> Deployed:
    found = stack(session).deployed()
    assert found is not None
    return found


def test_a_second_deploy_changes_nothing(session: Session) -> None:
    first = made(session)
    assert {change.action for change in stack(session).plan(first)} == {"keep"}
    assert stack(session).apply(first) == first


def test_a_changed_file_changes_its_resource_alone(session: Session) -> None:
    first = made(session)
    changed = stack(session, output_days=7)
    assert [change.logical_id for change in changed.plan(first) if change.action != "keep"] == ["Bucket"]
    second = changed.apply(first)
    assert second.parameters["OutputDays"] == "7"
    assert second.outputs == first.outputs


def test_a_user_for_workers_outside_aws_is_made_on_request(session: Session) -> None:
    made(session, worker_user=True)
    assert [user["UserName"] for user in session.client("iam").list_users()["Users"]] == [
        "comfyui-production-eu-west-1-worker"
    ]


def test_taking_it_down_leaves_jobs_and_pictures(session: Session) -> None:
    first = made(session)
    session.client("s3").put_object(Bucket=first.outputs["Bucket"], Key="outputs/a.png", Body=b"picture")
    stack(session).destroy(first, delete_data=False)
    assert stack(session).deployed() is None
    assert session.client("s3").get_object(Bucket=first.outputs["Bucket"], Key="outputs/a.png")["Body"].read()
    assert session.client("dynamodb").describe_table(TableName=first.outputs["Table"])


def test_data_is_deleted_by_its_own_flag(session: Session) -> None:
    first = made(session)
    session.client("s3").put_object(Bucket=first.outputs["Bucket"], Key="outputs/a.png", Body=b"picture")
    stack(session).destroy(first, delete_data=True)
    assert session.client("s3").list_buckets()["Buckets"] == []
    assert session.client("dynamodb").list_tables()["TableNames"] == []


def in_state(session: Session, *states: str) -> list[str]:
    """Let the stack be told of in these states, one a call, before its own; more may be added."""
    left = list(states)

    def told(parsed: dict[str, Any], **_: Any) -> None:
        if left and parsed.get("Stacks"):
            parsed["Stacks"][0]["StackStatus"] = left.pop(0)

    session.events.register("after-call.cloudformation.DescribeStacks", told)
    return left


def importing(session: Session) -> list[list[dict[str, Any]]]:
    """Let moto, which imports nothing, make what shall be imported, once what is there is gone; answers what was."""
    asked: list[list[dict[str, Any]]] = []
    states = in_state(session)

    def imported(params: dict[str, Any], **_: Any) -> None:
        asked.append(params.pop("ResourcesToImport"))
        params["ChangeSetType"] = "CREATE"
        for policy in session.client("iam").list_policies(Scope="Local")["Policies"]:  # which go with a stack on AWS
            session.client("iam").delete_policy(PolicyArn=policy["Arn"])
        for one in asked[-1]:
            if one["ResourceType"] == "AWS::S3::Bucket":
                bucket = session.resource("s3").Bucket(one["ResourceIdentifier"]["BucketName"])
                bucket.objects.delete()
                bucket.delete()
            else:
                session.client("dynamodb").delete_table(**one["ResourceIdentifier"])

    session.events.register("provide-client-params.cloudformation.CreateChangeSet", imported)
    session.events.register("after-call.cloudformation.ExecuteChangeSet", lambda **_: states.append("IMPORT_COMPLETE"))
    return asked


def test_what_an_earlier_stack_left_behind_is_taken_into_the_next(session: Session) -> None:
    first, asked = made(session), importing(session)
    stack(session).destroy(first, delete_data=False)
    again = stack(session).apply(stack(session).deployed())
    assert {one["LogicalResourceId"] for one in asked[0]} == {"Table", "Documents", "Bucket"}
    assert {name: again.outputs[name] for name in ("Table", "Documents", "Bucket")} == {
        name: first.outputs[name] for name in ("Table", "Documents", "Bucket")
    }
    assert {change.action for change in stack(session).plan(again)} == {"keep"}


def test_what_an_earlier_run_began_is_waited_for(session: Session) -> None:
    made(session, output_days=7)
    in_state(session, "CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS")
    assert stack(session).apply(stack(session).deployed()).parameters["OutputDays"] == "30"


@pytest.mark.parametrize("state", ["ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_what_an_earlier_run_failed_to_make_is_made_anew(session: Session, state: str) -> None:
    first, _ = made(session), importing(session)
    in_state(session, state)
    assert stack(session).apply(stack(session).deployed()).outputs == first.outputs


def test_a_stack_that_is_half_made_keeps_its_data_until_it_is_whole(session: Session) -> None:
    half = dataclasses.replace(made(session, sweeper=False), outputs={})
    with pytest.raises(DeployError, match="half made"):
        stack(session).destroy(half, delete_data=True)
    assert stack(session).deployed() is not None


def test_alarms_are_shown_by_their_state(session: Session) -> None:
    alarm = {"AlarmName": "comfyui-production-dead-letters", "EvaluationPeriods": 1, "Threshold": 0.0}
    more = {"MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Maximum"}
    session.client("cloudwatch").put_metric_alarm(
        **alarm,
        **more,
        ComparisonOperator="GreaterThanThreshold",  # moto makes none from a template
    )
    assert list(stack(session).alarms()) == ["comfyui-production-dead-letters"]


def test_environments_are_apart(session: Session) -> None:
    production = made(session)
    staging = AwsStack(DeployConfig(environment="staging"), session=session, poll_s=1).apply(None)
    assert set(production.outputs.values()).isdisjoint(staging.outputs.values())


def session_with(session: Session, policy_arn: str) -> Session:
    """A session as a user with this policy alone."""
    iam = session.client("iam")
    iam.create_user(UserName="somebody")
    iam.attach_user_policy(UserName="somebody", PolicyArn=policy_arn)
    key = iam.create_access_key(UserName="somebody")["AccessKey"]
    return Session(
        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], region_name=REGION
    )


def refused(call: Callable[..., object], **arguments: object) -> bool:
    try:
        call(**arguments)
    except ClientError as exc:
        return "AccessDenied" in str(exc)  # moto wraps it for some services
    return False


def test_a_worker_may_do_its_work_and_nothing_else(session: Session) -> None:
    deployed = made(session)
    worker = session_with(session, deployed.outputs["WorkerPolicy"])
    table, bucket = deployed.outputs["Table"], deployed.outputs["Bucket"]
    s3, dynamodb, sqs = worker.client("s3"), worker.client("dynamodb"), worker.client("sqs")
    queue = deployed.outputs["NormalQueue"]

    @set_initial_no_auth_action_count(0)
    def check() -> None:
        assert not refused(s3.put_object, Bucket=bucket, Key="outputs/a", Body=b"a")
        assert not refused(s3.list_objects_v2, Bucket=bucket)
        assert refused(s3.delete_bucket, Bucket=bucket)
        assert refused(s3.put_object, Bucket="somebody-elses", Key="a", Body=b"a")
        assert refused(dynamodb.delete_table, TableName=table)
        assert refused(sqs.purge_queue, QueueUrl=queue)
        assert refused(worker.client("iam").list_users)

    check()


@pytest.fixture
def table_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto holds a call to DynamoDB against a policy as one on "*": tell it the table, or its index, as AWS does."""

    def resource(handler: DynamoHandler) -> str:
        name, index = handler.body.get("TableName", "*"), handler.body.get("IndexName")
        arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}"
        return f"{arn}/index/{index}" if index else arn

    monkeypatch.setattr(DynamoHandler, "_determine_resource", resource, raising=False)


@pytest.mark.usefixtures("table_rights")
def test_a_worker_may_lead_a_job_through_the_table_and_see_no_other(session: Session) -> None:
    deployed = made(session)
    worker = session_with(session, deployed.outputs["WorkerPolicy"])
    keys = worker.get_credentials()
    assert keys is not None
    access = AwsAccess(region=REGION, access_key_id=keys.access_key, secret_access_key=keys.secret_key)
    table, documents = deployed.outputs["Table"], deployed.outputs["Documents"]
    jobs = DynamoJobStore(table, access=access, blobs=S3ArtifactStore(deployed.outputs["Bucket"], access=access))
    dynamodb = worker.client("dynamodb")

    @set_initial_no_auth_action_count(0)
    def check() -> None:
        claim = jobs.claim(FACTS, worker_id="w")
        assert isinstance(claim, Claim)
        jobs.finish(jobs.renew(claim), Outcome(status=Status.COMPLETED))
        assert [job.job_id for job in jobs.list_by_user("t", "anonymous").jobs] == ["j"]
        assert jobs.due(0) == []
        assert refused(dynamodb.scan, TableName=table)
        assert refused(dynamodb.delete_item, TableName=table, Key={"pk": {"S": "t#j"}})
        assert refused(dynamodb.get_item, TableName=documents, Key={"pk": {"S": "a"}, "sk": {"S": "b"}})
        assert refused(dynamodb.get_item, TableName="somebody-elses", Key={"pk": {"S": "a"}})

    check()


def test_a_job_goes_through_the_queue_the_table_and_the_bucket_that_were_made(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = stack(session, sweeper=False)
    deployed = aws.apply(None)
    body = json.dumps(smoke_request("smoke"))
    session.client("sqs").send_message(QueueUrl=deployed.outputs["NormalQueue"], MessageBody=body)
    own = {"STORAGE_BASE_PATH": str(tmp_path), "DEVICE": "cpu", "SECRET_KEY": "k" * 64}
    handled = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with monkeypatch.context() as environment:
        for name, value in {**aws.variables(deployed), **own}.items():
            environment.setenv(name, value)
        assert sqs_worker.main(["--drain"]) == 0
    for number, handler in handled.items():
        signal.signal(number, handler)
    record = DynamoJobStore(deployed.outputs["Table"], access=AwsAccess(region=REGION)).get("default", "smoke")
    assert record is not None
    assert record.status is Status.COMPLETED
    held = session.client("s3").get_object(Bucket=deployed.outputs["Bucket"], Key=record.outputs[0].key)["Body"].read()
    with Image.open(io.BytesIO(held)) as picture:
        assert (picture.size, picture.convert("RGB").getpixel((0, 0))) == ((SIDE, SIDE), RGB)


def test_an_api_may_send_jobs_and_take_none(session: Session) -> None:
    deployed = made(session)
    api = session_with(session, deployed.outputs["ApiPolicy"])
    queue, bucket = deployed.outputs["NormalQueue"], deployed.outputs["Bucket"]

    @set_initial_no_auth_action_count(0)
    def check() -> None:
        assert not refused(api.client("sqs").send_message, QueueUrl=queue, MessageBody="{}")
        assert not refused(api.client("s3").put_object, Bucket=bucket, Key="inputs/t/a.png", Body=b"a")
        assert refused(api.client("sqs").receive_message, QueueUrl=queue)
        assert refused(api.client("dynamodb").delete_table, TableName=deployed.outputs["Documents"])
        assert refused(api.client("iam").list_users)

    check()


def test_a_pipeline_may_bring_code_and_see_a_job_and_write_no_state(session: Session) -> None:
    deployed = made(session)
    ci = session_with(session, deployed.outputs["CiPolicy"])
    bucket, key = deployed.outputs["Bucket"], {"pk": {"S": "a"}}

    @set_initial_no_auth_action_count(0)
    def check() -> None:
        assert not refused(ci.client("s3").put_object, Bucket=bucket, Key="code/a.zip", Body=b"a")
        assert not refused(ci.client("sqs").send_message, QueueUrl=deployed.outputs["NormalQueue"], MessageBody="{}")
        assert refused(ci.client("dynamodb").put_item, TableName=deployed.outputs["Table"], Item=key)
        assert refused(ci.client("s3").put_object, Bucket=bucket, Key="outputs/a.png", Body=b"a")
        assert refused(ci.client("iam").list_users)

    check()


def test_credentials_that_are_missing_are_named_with_where_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(DeployError, match=r"AWS_ACCESS_KEY_ID.*https://console\.aws\.amazon\.com"):
        AwsStack(DeployConfig(aws=AwsConfig(region=REGION))).deployed()


def test_a_region_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(DeployError, match=r"aws.region into deploy.yaml, or set AWS_REGION"):
        AwsStack(DeployConfig()).deployed()
