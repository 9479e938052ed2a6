"""`comfyui-serverless doctor`: whether this machine, or a running API, can do its work, and what to do where not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

from runtime.clock import SystemClock
from runtime.doctor import machine, services
from runtime.doctor.finding import Check, Finding, run
from runtime.errors import SettingsInvalid
from runtime.settings import Settings


def main(words: Sequence[str]) -> int:
    """Check. Answers 0 where nothing is wrong, 1 where something is, 2 for settings that are wrong."""
    arguments = _parser().parse_args(list(words))
    clock = SystemClock()
    if arguments.url:
        return _show(run([("api", partial(services.deployment, arguments.url, clock))]), as_json=arguments.json)
    try:
        settings = Settings.load()
    except SettingsInvalid as exc:
        print(f"comfyui-serverless doctor: {exc.message}", file=sys.stderr)
        return 2
    checks: list[tuple[str, Check]] = [
        ("python", machine.python),
        ("torch", partial(machine.torch_and_gpu, settings)),
        ("device", partial(machine.device, settings)),
        ("volume", partial(machine.volume, settings)),
        ("models", partial(machine.models, settings)),
        ("dns", partial(services.names, settings)),
        ("jobs", partial(services.jobs, settings, clock)),
        ("queues", partial(services.queues, settings)),
        ("files", partial(services.files, settings, clock)),
    ]
    return _show(run(checks), as_json=arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="comfyui-serverless doctor", description=__doc__)
    parser.add_argument("--url", help="a running API in the place of this machine: https://HOST")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    return parser


def _show(findings: Iterator[Finding], *, as_json: bool) -> int:
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            print(finding, flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    return 1 if any(finding.state == "wrong" for finding in found) else 0
