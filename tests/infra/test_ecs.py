from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from boto3.session import Session

from infra.deploy.command import main
from infra.deploy.config import DeployConfig
from infra.deploy.ecs import EcsStack
from infra.deploy.stack_variables import stack_variables

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..*:UserWarning")

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "ecs.txt"
FILE = {
    "image": "registry.example.org/comfyui:1.2",
    "secrets": {"SECRET_KEY": "comfyui/key", "HF_TOKEN": "comfyui/hf"},
    "gpus": ["l40s", "l4"],
    "workers": {"max": 6, "concurrency": 2, "idle_timeout_s": 90},
    "ecs": {"vpc": "vpc-0123456789abcdef0", "subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]},
}


def stack(**fields: Any) -> EcsStack:
    config = DeployConfig.model_validate({**FILE, **fields})
    return EcsStack(
        config, variables=stack_variables(config, offline=True), policy="arn:aws:iam::123456789012:policy/w"
    )


def resources(**fields: Any) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in json.loads(stack(**fields).body())["Resources"].items()}


def steps(**workers: int) -> list[tuple[int, int | None, int]]:
    """From so many jobs, to before so many: so many workers."""
    policy = resources(workers=workers)["AsManyAsJobs"]["StepScalingPolicyConfiguration"]
    return [
        (1 + step["MetricIntervalLowerBound"], 1 + upper if upper is not None else None, step["ScalingAdjustment"])
        for step in policy["StepAdjustments"]
        for upper in [step.get("MetricIntervalUpperBound")]
    ]


def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    made = tmp_path / "ecs.json"
    made.write_text(stack().body())
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([linter, made, HERE.parents[1] / "infra" / "aws.yaml"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_no_larger_than_cloudformation_takes() -> None:
    assert len(stack(env={f"VARIABLE_{number}": "x" * 200 for number in range(50)}).body()) < 51_200


def test_there_are_workers_enough_for_every_job_up_to_the_most() -> None:
    assert steps(max=3) == [(1, 2, 1), (2, 3, 2), (3, None, 3)]
    assert steps(max=1) == [(1, None, 1)]
    assert steps(max=5, concurrency=4)[-2:] == [(13, 17, 4), (17, None, 5)]
    for below, above in zip(steps(max=1000), steps(max=1000)[1:], strict=False):
        assert below[1] == above[0]
    assert len(steps(max=1000)) <= 20


def test_the_gpus_are_asked_for_in_the_files_order() -> None:
    overrides = resources()["Instances"]["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [override["InstanceType"] for override in overrides] == ["g6e.xlarge", "g6.xlarge"]


def test_secrets_are_read_from_the_parameter_store_by_name_and_the_key_of_tokens_is_not() -> None:
    made = resources()
    container = made["Task"]["ContainerDefinitions"][0]
    assert [secret["Name"] for secret in container["Secrets"]] == ["HF_TOKEN"]
    allowed = made["StartRole"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"]
    assert [arn["Fn::Sub"].rpartition("parameter/")[2] for arn in allowed] == ["comfyui/hf"]


def test_the_models_are_mounted_in_every_subnet() -> None:
    made = resources()
    assert [made[f"ModelsIn{number}"]["SubnetId"][-1] for number in (0, 1)] == ["0", "1"]


@pytest.fixture
def account(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An account with a VPC, and a deploy.yaml for it in the working folder."""
    monkeypatch.chdir(tmp_path)
    ec2 = session.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    place = {"vpc": subnet["VpcId"], "subnets": [subnet["SubnetId"]]}
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump({**FILE, "ecs": place}))
    return session


def test_the_plan_names_every_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump(FILE))
    assert main(["ecs", "--plan"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()


def test_the_stack_of_jobs_comes_first(account: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ecs", "--yes"]) == 1
    assert "`comfyui-serverless deploy aws` makes it" in capsys.readouterr().err


def test_without_subnets_it_says_how_to_find_them(
    account: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump({**FILE, "ecs": {}}))
    assert main(["ecs", "--plan"]) == 1
    assert "aws ec2 describe-subnets" in capsys.readouterr().err


@pytest.mark.slow  # moto takes half a minute over it on a busy machine
def test_workers_are_made_shown_and_taken_down(account: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aws", "--yes"]) == 0
    assert main(["ecs", "--yes"]) == 0
    assert "workers start when a job is in a queue" in capsys.readouterr().out
    assert main(["ecs", "--plan"]) == 0

    plan = capsys.readouterr().out
    assert "Calls: none" in plan, plan
    assert main(["status", "ecs"]) == 0
    assert "workers: 0 run" in capsys.readouterr().out
    assert main(["destroy", "ecs", "--yes"]) == 0
    assert "stays" in capsys.readouterr().out
    assert main(["status", "ecs"]) == 1
