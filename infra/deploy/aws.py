"""The stack of `infra/aws.yaml` on AWS: planned, made, changed, shown and taken down, by boto3."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from infra.deploy.adoption import left_behind, only
from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.sweeper_code import pack
from infra.deploy.sweeper_settings import libraries, tell
from infra.deploy.template import TEMPLATE, Change, changes, parse_template

if TYPE_CHECKING:
    from boto3.session import Session

_WAIT_S = 1200
_FAILED_EVENTS = 5
_UNMADE = (
    "REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED",
    "IMPORT_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_FAILED",
)  # fmt: skip
"""States of a stack that AWS lets only be deleted, or in which nothing was made."""
_VARIABLES = {
    "Table": "DYNAMODB_TABLE",
    "Documents": "DYNAMODB_DOCUMENTS_TABLE",
    "Bucket": "S3_BUCKET",
    "HighQueue": "SQS_QUEUE_URL_HIGH",
    "NormalQueue": "SQS_QUEUE_URL",
    "LowQueue": "SQS_QUEUE_URL_LOW",
    "DeadLetters": "SQS_DEAD_LETTER_URL",
    "MetricsNamespace": "METRICS_NAMESPACE",
}
_KEYS_PAGE = "https://console.aws.amazon.com/iam/home#/security_credentials"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The stack as it stands: CloudFormation's word for its state, its template, parameters and outputs."""

    status: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


class AwsStack:
    """One deployment's stack. Every call may raise DeployError, which says what to do next."""

    def __init__(self, config: DeployConfig, *, session: Session | None = None, poll_s: int = 5) -> None:
        self._config = config
        self._given = session
        self._poll_s = poll_s
        self.name = f"{config.name}-{config.environment}"

    def body(self) -> str:
        """The template's text."""
        template = parse_template(TEMPLATE.read_text(encoding="utf-8"))
        if self._config.aws.sweeper:
            tell(template["Resources"], self._config.aws)
        return json.dumps(template, separators=(",", ":"))  # CloudFormation takes 51,200 bytes

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters, as the configuration has them."""
        aws = self._config.aws
        return {
            "Name": self._config.name,
            "Environment": self._config.environment,
            "OutputDays": str(aws.output_days),
            "AllowedOrigins": ",".join(aws.allowed_origins),
            "AlarmEmail": aws.alarm_email,
            "WorkerUser": str(aws.worker_user).lower(),
            "QueueAgeAlarmS": str(aws.queue_age_alarm_s),
            **self._sweeper_parameters,
        }

    @property
    def _sweeper_parameters(self) -> dict[str, str]:
        if not self._config.aws.sweeper:
            return {"SweeperKey": ""}
        code = pack(libraries(self._config.aws))
        return {"SweeperKey": code.key, "SweeperRuntime": code.runtime, "SweeperArchitecture": code.architecture}

    def deployed(self) -> Deployed | None:
        """The stack as it stands; None where there is none."""
        from botocore.exceptions import ClientError

        with explained():
            try:
                stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
            except ClientError as exc:
                if exc.response["Error"]["Code"] == "ValidationError":
                    return None
                raise
            body = self._cloudformation.get_template(StackName=self.name)["TemplateBody"]
        return Deployed(
            status=stack["StackStatus"],
            template=parse_template(body) if isinstance(body, str) else body,
            parameters={given["ParameterKey"]: given["ParameterValue"] for given in stack.get("Parameters", [])},
            outputs={given["OutputKey"]: given["OutputValue"] for given in stack.get("Outputs", [])},
        )

    def plan(self, deployed: Deployed | None) -> list[Change]:
        """What `apply` would do to each resource; nothing is asked of AWS and nothing touched."""
        after = self.parameters
        return changes(
            deployed.template if deployed else None,
            parse_template(self.body()),
            before={name: value for name, value in deployed.parameters.items() if name in after} if deployed else {},
            after=after,
        )

    def apply(self, deployed: Deployed | None) -> Deployed:
        """Make the stack, or change it to what it shall be, and wait until it is. A stack that is so already stays.

        What an earlier run began is waited for; what it failed to make is taken down first. Tables and a bucket that
        an earlier stack left behind are taken in with what they hold.
        """
        with explained():
            deployed = self._settled(deployed)
            first = {name: value for name, value in self.parameters.items() if name != "SweeperKey"}
            if deployed is None:  # without the sweeper first, whose code will lie in the bucket
                deployed = self._begun(first)
            if not deployed.outputs and self._update(self._call(first)):  # it holds nothing but what was left behind
                self._until("stack_update_complete")
                deployed = self._standing()
            if any(change.action != "keep" for change in self.plan(deployed)):
                self._upload(deployed)
                if self._update(self._call(self.parameters)):
                    self._until("stack_update_complete")
        return self._standing()

    def _settled(self, deployed: Deployed | None) -> Deployed | None:
        """The stack once nothing goes on in it; None where there is none, or none that can be changed."""
        deadline = time.monotonic() + _WAIT_S
        while deployed and deployed.status.endswith("_IN_PROGRESS") and deployed.status != "REVIEW_IN_PROGRESS":
            if time.monotonic() > deadline:
                raise DeployError(
                    f"stack {self.name} is {deployed.status} for too long: look at CloudFormation's console"
                )
            time.sleep(self._poll_s)
            deployed = self.deployed()
        if deployed and deployed.status in _UNMADE:
            self._delete()
            return None
        if deployed and deployed.status == "UPDATE_ROLLBACK_FAILED":
            self._cloudformation.continue_update_rollback(StackName=self.name)
            self._until("stack_rollback_complete")
            return self._standing()
        return deployed

    def _begun(self, parameters: Mapping[str, str]) -> Deployed:
        """A new stack; of what an earlier one left behind alone, where there is any."""
        call, template = self._call(parameters), parse_template(self.body())
        if found := left_behind(self._session, template, parameters):
            call["TemplateBody"] = json.dumps(only(template, found))
            named = {"StackName": self.name, "ChangeSetName": "adopt"}
            self._cloudformation.create_change_set(
                **call, ChangeSetName="adopt", ChangeSetType="IMPORT", ResourcesToImport=found
            )
            self._until("change_set_create_complete", **named)
            self._cloudformation.execute_change_set(**named)
            self._until("stack_import_complete")
        else:
            self._cloudformation.create_stack(**call, RetainExceptOnCreate=True)  # a failure leaves nothing in the way
            self._until("stack_create_complete")
        return self._standing()

    def _standing(self) -> Deployed:
        made = self.deployed()
        if made is None:
            raise DeployError(f"stack {self.name} is not there after it was made: look at CloudFormation's console")
        return made

    def _call(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        return {
            "StackName": self.name,
            "TemplateBody": self.body(),
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Tags": [{"Key": "comfyui-serverless", "Value": self.name}],
        }

    def _upload(self, deployed: Deployed) -> None:
        """Bring the sweeper's code to where the stack takes it from."""
        if self.parameters.get("SweeperKey"):
            code = pack(libraries(self._config.aws))
            self._session.client("s3").put_object(Bucket=deployed.outputs["Bucket"], Key=code.key, Body=code.data)

    def variables(self, deployed: Deployed) -> dict[str, str]:
        """The variables that a worker of this deployment needs."""
        found = {_VARIABLES[key]: value for key, value in deployed.outputs.items() if key in _VARIABLES}
        return {"AWS_REGION": str(self._session.region_name), "ENVIRONMENT": "production", **found}

    def waiting(self, deployed: Deployed) -> dict[str, int]:
        """How many messages wait in each queue."""
        sqs = self._session.client("sqs")
        depths = {}
        with explained():
            for key in ("HighQueue", "NormalQueue", "LowQueue", "DeadLetters"):
                answer = sqs.get_queue_attributes(
                    QueueUrl=deployed.outputs[key], AttributeNames=["ApproximateNumberOfMessages"]
                )
                depths[key] = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        return depths

    def alarms(self) -> dict[str, str]:
        """Each alarm's state by its name: OK, ALARM or INSUFFICIENT_DATA."""
        with explained():
            pages = self._session.client("cloudwatch").get_paginator("describe_alarms")
            found = [
                alarm for page in pages.paginate(AlarmNamePrefix=f"{self.name}-") for alarm in page["MetricAlarms"]
            ]
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}

    def destroy(self, deployed: Deployed, *, delete_data: bool) -> None:
        """Take the stack down. Table and bucket stay with what is in them, unless `delete_data`."""
        if delete_data and not deployed.outputs:
            raise DeployError(f"stack {self.name} is half made: run `deploy aws`, which finishes it, and then this")
        self.take_down()
        if delete_data:
            with explained():
                bucket = self._session.resource("s3").Bucket(deployed.outputs["Bucket"])
                bucket.object_versions.delete()
                bucket.delete()
                for table in ("Table", "Documents"):
                    self._session.client("dynamodb").delete_table(TableName=deployed.outputs[table])

    def client(self, service: str) -> Any:
        """boto3's client of another service, in the stack's region."""
        session: Any = self._session
        return session.client(service)

    @cached_property
    def _session(self) -> Session:
        if self._given is not None:
            return self._given
        try:
            from boto3.session import Session
        except ImportError as exc:
            raise DeployError("deploy aws needs boto3: pip install -c constraints.txt -e '.[deploy]'") from exc
        session = Session(region_name=self._config.aws.region or os.environ.get("AWS_REGION"))
        if session.region_name is None:
            raise DeployError("no AWS region is set: put aws.region into deploy.yaml, or set AWS_REGION")
        return session

    @cached_property
    def _cloudformation(self) -> Any:
        return self._session.client("cloudformation")

    def _update(self, call: Mapping[str, Any]) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._cloudformation.update_stack(**call)
        except ClientError as exc:
            if "No updates are to be performed" in exc.response["Error"]["Message"]:
                return False
            raise
        return True

    def take_down(self) -> None:
        """Delete the stack, once what goes on in it has ended; what it retains stays."""
        with explained():
            if self._settled(self.deployed()) is not None:
                self._delete()

    def _delete(self) -> None:
        self._cloudformation.delete_stack(StackName=self.name)
        self._until("stack_delete_complete")

    def _until(self, state: str, **named: str) -> None:
        from botocore.exceptions import WaiterError

        try:
            self._cloudformation.get_waiter(state).wait(
                **{"StackName": self.name, **named},
                WaiterConfig={"Delay": self._poll_s, "MaxAttempts": _WAIT_S // self._poll_s},
            )
        except WaiterError as exc:
            raise DeployError(f"stack {self.name} did not come to {state}: {self._what_failed()}") from exc

    def _what_failed(self) -> str:
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        return "; ".join(failed[:_FAILED_EVENTS]) or "AWS names no resource; look at CloudFormation's console"


@contextmanager
def explained() -> Iterator[None]:
    """What botocore raises, as a DeployError that says what to do next."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError as exc:
        raise DeployError(
            "AWS credentials are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws sso login`; "
            f"keys are made at {_KEYS_PAGE}"
        ) from exc
    except ClientError as exc:
        raise DeployError(f"AWS refused {exc.operation_name}: {exc.response['Error']['Message']}") from exc
    except BotoCoreError as exc:
        raise DeployError(f"AWS could not be asked: {exc}") from exc
