"""The stack of `infra/ecs.yaml`: the template with what deploy.yaml has a number of put in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.deploy.aws import AwsStack
from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.gpus import names_on
from infra.deploy.sweeper_settings import parameter_arn, reading
from infra.deploy.template import parse_template

TEMPLATE = Path(__file__).resolve().parents[1] / "ecs.yaml"

_QUEUES = ("high", "normal", "low")
_DEPTHS = ("Visible", "NotVisible")
_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1000)
"""How many workers a step of scaling has; CloudWatch allows twenty steps."""


class EcsStack(AwsStack):
    """The workers' stack, beside the one of table, bucket and queues, whose policy and variables it is given."""

    def __init__(self, config: DeployConfig, *, variables: Mapping[str, str], policy: str, poll_s: int = 5) -> None:
        super().__init__(config, poll_s=poll_s)
        self.name = f"{config.full_name}-workers"
        self._workers_env = {"METRICS_EXPORT": "cloudwatch", **variables, **config.env}
        self._policy = policy

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters, as the configuration has them."""
        config = self._config
        if not config.ecs.vpc or not config.ecs.subnets:
            raise DeployError(
                "ecs.vpc and ecs.subnets are not set in deploy.yaml: `aws ec2 describe-subnets --query "
                "'Subnets[].[VpcId,SubnetId,AvailabilityZone]' --output text` lists them"
            )
        return {
            "Name": config.name,
            "Environment": config.environment,
            "Image": config.image_on("ECS"),
            "Vpc": config.ecs.vpc,
            "WorkerPolicy": self._policy,
            "MinWorkers": str(config.workers.min),
            "MaxWorkers": str(config.workers.max),
            "IdleMinutes": str(math.ceil(config.workers.idle_timeout_s / 60)),
        }

    def body(self) -> str:
        """The template's text, whole."""
        template = parse_template(TEMPLATE.read_text(encoding="utf-8"))
        made = {name: resource["Properties"] for name, resource in template["Resources"].items()}
        container = made["Task"]["ContainerDefinitions"][0]
        container["Environment"] = [{"Name": key, "Value": value} for key, value in sorted(self._workers_env.items())]
        container["Secrets"] = [{"Name": key, "ValueFrom": parameter_arn(name)} for key, name in self._secrets]
        if self._secrets:
            made["StartRole"]["Policies"] = [reading([parameter_arn(name) for _, name in self._secrets])]
        made["Instances"]["VPCZoneIdentifier"] = list(self._config.ecs.subnets)
        made["Instances"]["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] = [
            {"InstanceType": name} for name in names_on("ec2", self._config.gpus)
        ]
        for alarm in ("JobsAreThere", "NoJobs"):
            made[alarm]["Metrics"] = list(_metrics())
        made["AsManyAsJobs"]["StepScalingPolicyConfiguration"]["StepAdjustments"] = list(self._steps())
        template["Resources"] |= self._mounts()
        return json.dumps(template, separators=(",", ":"))  # CloudFormation takes 51,200 bytes

    @property
    def _secrets(self) -> list[tuple[str, str]]:
        return sorted((key, name) for key, name in self._config.secrets.items() if key != "SECRET_KEY")

    def _steps(self) -> Iterator[dict[str, int]]:
        """For so many jobs over the alarm's one: workers enough for all of them."""
        each, most = self._config.workers.concurrency, self._config.workers.max
        sizes = [size for size in _STEPS if size < most] + [most]
        for below, size in zip([0, *sizes], sizes, strict=False):
            step = {"MetricIntervalLowerBound": below * each, "ScalingAdjustment": size}
            yield step if size == most else {**step, "MetricIntervalUpperBound": size * each}

    def _mounts(self) -> dict[str, Any]:
        return {
            f"ModelsIn{number}": {
                "Type": "AWS::EFS::MountTarget",
                "Properties": {
                    "FileSystemId": {"Ref": "Models"},
                    "SubnetId": subnet,
                    "SecurityGroups": [{"Fn::GetAtt": ["Reached", "GroupId"]}],
                },
            }
            for number, subnet in enumerate(self._config.ecs.subnets)
        }


def _metrics() -> Iterator[dict[str, Any]]:
    """The number of jobs that wait and run, by CloudWatch's metrics of the three queues."""
    yield {"Id": "jobs", "Label": "jobs that wait and run", "Expression": "SUM(METRICS())"}
    for queue in _QUEUES:
        for depth in _DEPTHS:
            name = {"Name": "QueueName", "Value": {"Fn::Sub": f"${{Name}}-${{Environment}}-{queue}"}}
            metric = {"Namespace": "AWS/SQS", "MetricName": f"ApproximateNumberOfMessages{depth}", "Dimensions": [name]}
            stat = {"Period": 60, "Stat": "Maximum", "Metric": metric}
            yield {"Id": f"{queue}{depth}".lower(), "ReturnData": False, "MetricStat": stat}
