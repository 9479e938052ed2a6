"""AWS as a target of the deploy command: the stack of `infra/aws.yaml`."""

from __future__ import annotations

from collections.abc import Iterator

from infra.deploy.aws import AwsStack, Deployed
from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.target import Plan, Say, Step

_DATA = ("Table", "Documents", "Bucket")


class AwsTarget:
    """A `Target`."""

    def __init__(self, config: DeployConfig) -> None:
        self._stack = AwsStack(config)

    def plan(self, *, offline: bool = False) -> Plan:
        deployed = None if offline else self._stack.deployed()
        changes = self._stack.plan(deployed)
        plan = Plan(
            title=f"stack {self._stack.name}: {'there, ' + deployed.status if deployed else 'new'}",
            steps=tuple(
                Step(action=change.action, name=change.logical_id, kind=change.type, where=change.where)
                for change in changes
            ),
        )
        if deployed is None:
            calls: tuple[str, ...] = ("cloudformation:CreateStack", "s3:PutObject", "cloudformation:UpdateStack")
        else:
            calls = ("s3:PutObject", "cloudformation:UpdateStack") if plan.changed else ()
        return Plan(title=plan.title, steps=plan.steps, calls=calls)

    def apply(self, say: Say) -> None:
        deployed = self._stack.apply(self._stack.deployed())
        for line in self._needed(deployed):
            say(line)

    def status(self) -> Iterator[str]:
        deployed = self._present()
        if not deployed.outputs:
            yield "half made: `comfyui-serverless deploy aws` finishes it"
            return
        for queue, waiting in self._stack.waiting(deployed).items():
            yield f"{queue:12} {waiting} waiting"
        for alarm, state in self._stack.alarms().items():
            yield f"alarm {alarm}: {state}"
        yield from self._needed(deployed)

    def logs(self, *, follow: bool) -> Iterator[str]:
        raise DeployError("the stack on AWS runs no workers; their logs are where they run, as in `deploy logs ecs`")

    def doomed(self, *, delete_data: bool) -> str:
        deployed = self._present()
        data = ", ".join(deployed.outputs.get(name, f"its {name.lower()}") for name in _DATA)
        fate = f"{data} are DELETED with every job and picture" if delete_data else f"{data} stay"
        return f"stack {self._stack.name}; {fate}"

    def destroy(self, *, delete_data: bool) -> None:
        self._stack.destroy(self._present(), delete_data=delete_data)

    def _present(self) -> Deployed:
        deployed = self._stack.deployed()
        if deployed is None:
            raise DeployError(f"there is no stack {self._stack.name}: `comfyui-serverless deploy aws` makes it")
        return deployed

    def _needed(self, deployed: Deployed) -> Iterator[str]:
        """The worker's variables, in a form that a shell and an .env file take."""
        yield f"\n# what a worker needs; its role or user needs the policy {deployed.outputs['WorkerPolicy']}"
        for name, value in self._stack.variables(deployed).items():
            yield f"{name}={value}"
