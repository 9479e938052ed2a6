"""`comfyui-serverless deploy`: what a deployment needs around its workers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.deploy.aws import AwsStack, Deployed
from infra.deploy.config import FILE, DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.template import Change

_SIGNS = {"create": "+", "update": "~", "delete": "-", "keep": " "}


def main(words: Sequence[str]) -> int:
    """Run the command. Answers 0, or 1 where the deployment failed or was not confirmed; 2 for what is no command."""
    arguments = _parser().parse_args(list(words))
    try:
        stack = AwsStack(DeployConfig.read(arguments.file, environment=arguments.env))
        run = {"aws": _apply, "status": _status, "destroy": _destroy}[arguments.verb]
        return run(stack, arguments)
    except DeployError as exc:
        print(f"comfyui-serverless deploy: {exc}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--file", type=Path, default=Path(FILE), help=f"what the deployment is ({FILE})")
    shared.add_argument("--env", choices=["staging", "production"], help="which environment (the file's: production)")
    parser = argparse.ArgumentParser(prog="comfyui-serverless deploy", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    aws = verbs.add_parser("aws", parents=[shared], help="table, bucket, queues, policies and alarms on AWS")
    aws.add_argument("--plan", action="store_true", help="say what would be done, and touch nothing")
    aws.add_argument("--yes", action="store_true", help="do not ask")
    verbs.add_parser("status", parents=[shared], help="how the deployment stands, and what its workers need")
    destroy = verbs.add_parser("destroy", parents=[shared], help="take it down; jobs and pictures stay")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    destroy.add_argument("--delete-data", action="store_true", help="delete jobs and pictures too")
    return parser


def _apply(stack: AwsStack, arguments: argparse.Namespace) -> int:
    deployed = _look(stack, may_lack_credentials=arguments.plan)
    plan = stack.plan(deployed)
    print(f"stack {stack.name}: {'there, ' + deployed.status if deployed else 'new'}")
    print("\n".join(map(_line, plan)))
    changed = [change for change in plan if change.action != "keep"]
    if arguments.plan:
        print(f"plan: {_count(plan)}. Calls: {_calls(deployed, changed)}. Nothing was touched.")
        return 0
    if changed and not arguments.yes and not _confirmed(f"{_count(plan)}. Go on?"):
        return 1
    _say(stack, stack.apply(deployed))
    return 0


def _status(stack: AwsStack, arguments: argparse.Namespace) -> int:
    deployed = _present(stack)
    drift = [change for change in stack.plan(deployed) if change.action != "keep"]
    print(f"stack {stack.name}: {deployed.status}")
    print("as the file says" if not drift else "differs from the file, `deploy aws` mends it:")
    print("".join(f"{_line(change)}\n" for change in drift), end="")
    for queue, waiting in stack.waiting(deployed).items():
        print(f"{queue:12} {waiting} waiting")
    for alarm, state in stack.alarms().items():
        print(f"alarm {alarm}: {state}")
    _say(stack, deployed)
    return 0


def _destroy(stack: AwsStack, arguments: argparse.Namespace) -> int:
    deployed = _present(stack)
    data = ", ".join(deployed.outputs[name] for name in ("Table", "Documents", "Bucket"))
    fate = f"{data} are DELETED with every job and picture" if arguments.delete_data else f"{data} stay"
    if not arguments.yes and not _confirmed(f"Take down stack {stack.name}? {fate}."):
        return 1
    stack.destroy(deployed, delete_data=arguments.delete_data)
    print(f"stack {stack.name} is taken down; {fate}")
    return 0


def _look(stack: AwsStack, *, may_lack_credentials: bool) -> Deployed | None:
    try:
        return stack.deployed()
    except DeployError as exc:
        if not may_lack_credentials:
            raise
        print(f"planned as if nothing were there, for AWS was not asked: {exc}", file=sys.stderr)
        return None


def _present(stack: AwsStack) -> Deployed:
    deployed = stack.deployed()
    if deployed is None:
        raise DeployError(f"there is no stack {stack.name}: `comfyui-serverless deploy aws` makes it")
    return deployed


def _line(change: Change) -> str:
    where = f" ({', '.join(change.where)})" if change.where else ""
    return f"  {_SIGNS[change.action]} {change.logical_id:20} {change.type}{where}"


def _count(plan: Sequence[Change]) -> str:
    actions: list[str] = [change.action for change in plan]
    return ", ".join(f"{actions.count(action)} to {action}" for action in _SIGNS)


def _calls(deployed: Deployed | None, changed: Sequence[Change]) -> str:
    if deployed is None:
        return "cloudformation:CreateStack"
    return "cloudformation:UpdateStack" if changed else "none"


def _say(stack: AwsStack, deployed: Deployed) -> None:
    """The worker's variables, in a form that a shell and an .env file take."""
    print(f"\n# what a worker needs; its role or user needs the policy {deployed.outputs['WorkerPolicy']}")
    for name, value in stack.variables(deployed).items():
        print(f"{name}={value}")


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question} This is no terminal: say --yes", file=sys.stderr)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
