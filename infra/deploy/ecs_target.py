"""ECS as a target of the deploy command: the stack of `infra/ecs.yaml`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from infra.deploy.aws import AwsStack, Deployed, explained
from infra.deploy.config import DeployConfig
from infra.deploy.ecs import EcsStack
from infra.deploy.errors import DeployError
from infra.deploy.stack_variables import stack_variables
from infra.deploy.target import Plan, Say, Step

_MINUTE_MS = 60_000
_LINES = 200
_LOOK_EVERY_S = 2.0


class EcsTarget:
    """A `Target`."""

    def __init__(self, config: DeployConfig, *, poll_s: int = 5) -> None:
        self._config = config
        self._poll_s = poll_s

    def plan(self, *, offline: bool = False) -> Plan:
        stack = self._stack(offline=offline)
        deployed = None if offline else stack.deployed()
        steps = tuple(
            Step(action=change.action, name=change.logical_id, kind=change.type, where=change.where)
            for change in stack.plan(deployed)
        )
        if deployed is None:
            calls: tuple[str, ...] = ("cloudformation:CreateStack",)
        else:
            calls = ("cloudformation:UpdateStack",) if any(step.action != "keep" for step in steps) else ()
        return Plan(title=f"stack {stack.name}: {_state(deployed)}", steps=steps, calls=calls)

    def apply(self, say: Say) -> None:
        stack = self._stack()
        deployed = stack.apply(stack.deployed())
        say(f"stack {stack.name}: {deployed.status}; workers start when a job is in a queue")
        say(f"models: volume {deployed.outputs['Models']}; docs/ecs.md has the task that syncs it")

    def status(self) -> Iterator[str]:
        deployed = self._present()
        names = {"cluster": deployed.outputs["Cluster"], "services": [deployed.outputs["Service"]]}
        with explained():
            (service,) = self._stack().client("ecs").describe_services(**names)["services"]
        run, start, wanted = (service[f"{which}Count"] for which in ("running", "pending", "desired"))
        yield f"workers: {run} run, {start} start, {wanted} wanted"
        yield from (f"{event['createdAt']:%Y-%m-%d %H:%M:%S} {event['message']}" for event in service["events"][:5])

    def logs(self, *, follow: bool) -> Iterator[str]:
        group = self._present().outputs["Logs"]
        client = self._stack().client("logs")
        since, seen = int(time.time() * 1000) - 60 * _MINUTE_MS, set[str]()
        while True:
            with explained():
                pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
                events = [event for page in pages for event in page["events"] if event["eventId"] not in seen]
            for event in events[-_LINES:]:
                yield event["message"]
            if not follow:
                return
            since = max([since, *(event["timestamp"] - _MINUTE_MS for event in events)])  # some come late
            seen |= {event["eventId"] for event in events}
            time.sleep(_LOOK_EVERY_S)

    def doomed(self, *, delete_data: bool) -> str:
        deployed = self._present()
        fate = f"the volume of models {deployed.outputs['Models']} {'is DELETED' if delete_data else 'stays'}"
        return f"stack {self._stack(offline=True).name}; {fate}; so does the stack of jobs (`deploy destroy aws`)"

    def destroy(self, *, delete_data: bool) -> None:
        deployed = self._present()
        stack = self._stack(offline=True)
        stack.take_down()
        if delete_data:
            with explained():
                stack.client("efs").delete_file_system(FileSystemId=deployed.outputs["Models"])

    def _present(self) -> Deployed:
        stack = self._stack(offline=True)
        deployed = stack.deployed()
        if deployed is None:
            raise DeployError(f"there is no stack {stack.name}: `comfyui-serverless deploy ecs` makes it")
        return deployed

    def _stack(self, *, offline: bool = False) -> EcsStack:
        variables = stack_variables(self._config, offline=offline)
        policy = "(deploy aws)" if offline else _policy(self._config)
        return EcsStack(self._config, variables=variables, policy=policy, poll_s=self._poll_s)


def _policy(config: DeployConfig) -> str:
    deployed = AwsStack(config).deployed()
    if deployed is None:
        raise DeployError(
            "the workers' policy is of the stack that `comfyui-serverless deploy aws` makes: deploy it first"
        )
    return deployed.outputs["WorkerPolicy"]


def _state(deployed: Deployed | None) -> str:
    return f"there, {deployed.status}" if deployed else "new"
