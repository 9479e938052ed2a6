"""`comfyui-serverless deploy`: a deployment planned, made, changed, shown and taken down, by platform."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.deploy.config import FILE
from infra.deploy.config_file import read_config
from infra.deploy.errors import DeployError
from infra.deploy.estimate import estimated_lines
from infra.deploy.target import Plan, Target
from infra.deploy.targets import TARGETS, build_target

_VERBS = ("status", "logs", "destroy")
_OF_THE_EXTRA = ("boto3", "botocore", "yaml")


def main(words: Sequence[str]) -> int:
    """Run the command. Answers 0, or 1 where the deployment failed or was not confirmed; 2 for what is no command."""
    arguments = _parser().parse_args(list(words))
    try:
        if arguments.verb == "estimate":
            print("\n".join(estimated_lines(read_config(arguments.file, environment=arguments.env), arguments)))
            return 0
        target = build_target(arguments.target, read_config(arguments.file, environment=arguments.env))
        verb = arguments.verb if arguments.verb in _VERBS else "apply"
        return {"apply": _apply, "status": _status, "logs": _logs, "destroy": _destroy}[verb](target, arguments)
    except DeployError as exc:
        print(f"comfyui-serverless deploy: {exc}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in _OF_THE_EXTRA:
            raise
        print(f"comfyui-serverless deploy: {exc.name} is not installed; ./scripts/deploy brings it", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--file", type=Path, default=Path(FILE), help=f"what the deployment is ({FILE})")
    shared.add_argument("--env", choices=["staging", "production"], help="which environment (the file's: production)")
    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("--yes", action="store_true", help="do not ask")
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("target", nargs="?", choices=list(TARGETS), default="aws", help="where (aws)")
    parser = argparse.ArgumentParser(prog="comfyui-serverless deploy", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, (_, help) in TARGETS.items():
        apply = verbs.add_parser(name, parents=[shared, asking], help=help)
        apply.add_argument("--plan", action="store_true", help="say what would be done, and touch nothing")
        apply.set_defaults(target=name)
    verbs.add_parser("status", parents=[shared, which], help="how it stands, and how it differs from the file")
    logs = verbs.add_parser("logs", parents=[shared, which], help="what its workers said last")
    logs.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    destroy = verbs.add_parser("destroy", parents=[shared, which, asking], help="take it down; what it holds stays")
    destroy.add_argument("--delete-data", action="store_true", help="delete jobs, pictures and models too")
    cost = verbs.add_parser("estimate", parents=[shared], help="what a workflow costs a picture, and an idle hour")
    cost.add_argument("workflow", nargs="?", type=Path, help="one that has run where this environment's jobs are")
    cost.add_argument("--seconds", type=_positive, help="how long a picture takes, instead of what was measured")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds; expected one above 0")
    return value


def _apply(target: Target, arguments: argparse.Namespace) -> int:
    plan = _planned(target) if arguments.plan else target.plan()
    print(plan)
    if arguments.plan:
        print(f"plan: {plan.count}. Calls: {', '.join(plan.calls) or 'none'}. Nothing was touched.")
        return 0
    if plan.changed and not arguments.yes and not _confirmed(f"{plan.count}. Go on?"):
        return 1
    target.apply(print)
    return 0


def _status(target: Target, arguments: argparse.Namespace) -> int:
    lines = list(target.status())  # which says so where nothing is there
    plan = target.plan()
    print(plan.title)
    print(f"differs from the file, `deploy {arguments.target}` mends it:" if plan.changed else "as the file says")
    print("".join(f"{line}\n" for line in [*plan.changed, *lines]), end="")
    return 0


def _logs(target: Target, arguments: argparse.Namespace) -> int:
    for line in target.logs(follow=arguments.follow):
        print(line, flush=True)
    return 0


def _destroy(target: Target, arguments: argparse.Namespace) -> int:
    doomed = target.doomed(delete_data=arguments.delete_data)
    if not arguments.yes and not _confirmed(f"Take down {doomed}. Go on?"):
        return 1
    target.destroy(delete_data=arguments.delete_data)
    print(f"taken down: {doomed}")
    return 0


def _planned(target: Target) -> Plan:
    """The plan; as if nothing were there where the platform cannot be asked."""
    try:
        return target.plan()
    except DeployError as exc:
        plan = target.plan(offline=True)
        print(f"planned as if nothing were there, for the platform was not asked: {exc}", file=sys.stderr)
        return plan


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question} This is no terminal: say --yes", file=sys.stderr)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
