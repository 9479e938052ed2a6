"""The sweeper as an AWS Lambda function: `handlers.sweeper.handle`, on an EventBridge schedule of a minute."""

from __future__ import annotations

import functools
import os
from dataclasses import asdict
from typing import Any

from runtime.aws_parameters import read_parameters
from runtime.build import build_sweeper
from runtime.fitness import log_to_stderr
from runtime.settings import Settings
from runtime.sweeper import Sweeper


@functools.cache
def _sweeper() -> Sweeper:
    """Built by the first event, and kept as long as Lambda keeps the process."""
    os.environ |= read_parameters(os.environ)  # of the process, for the modal package reads its token there
    settings = Settings.load()
    log_to_stderr(settings, alone=True)
    return build_sweeper(settings)


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Sweep once, whatever the event says. What is raised makes the invocation an error, which the schedule repeats."""
    return asdict(_sweeper().sweep())
