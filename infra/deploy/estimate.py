"""What a workflow costs: measured seconds times the prices of `prices.yaml`."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError

PRICES = Path(__file__).with_name("prices.yaml")

_ENGINES = ("native", "comfyui")
_HOUR_S = 3600


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a second with one GPU of a platform costs in dollars; a bill is of whole `round_up_s`, 0 for exact ones."""

    platform: str
    gpu: str
    second: float
    round_up_s: float

    def of(self, seconds: float) -> float:
        """The bill for one stretch of so many seconds."""
        billed = math.ceil(seconds / self.round_up_s) * self.round_up_s if self.round_up_s else seconds
        return billed * self.second


def read_prices(path: Path = PRICES) -> Mapping[str, Any]:
    """The table by platform, with its dates and sources."""
    table: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return table


def prices(config: DeployConfig, table: Mapping[str, Any]) -> Iterator[Price]:
    """The prices of the deployment's GPUs, by platform and in the order of preference."""
    for platform, entry in table.items():
        for gpu in config.gpus:
            if gpu in entry["gpus"]:
                yield Price(
                    platform=platform, gpu=gpu, second=entry["gpus"][gpu], round_up_s=float(entry["round_up_s"])
                )


def lines(config: DeployConfig, seconds: float, measured: str) -> Iterator[str]:
    """The estimate, for people: a picture on a worker that is busy, one that starts a worker, an idle hour."""
    table = read_prices()
    idle_s = config.workers.idle_timeout_s
    yield f"a picture takes {seconds:.2f} s ({measured})"
    yield f"{'':10} {'GPU':10} {'a picture':>12} {'with the idle time after it':>28} {'an idle hour a month':>21}"
    for price in prices(config, table):
        cost, alone, hour = price.of(seconds), price.of(seconds + idle_s), price.of(_HOUR_S)
        yield f"{price.platform:10} {price.gpu:10} {cost:>11.5f}$ {alone:>27.5f}$ {hour:>20.2f}$"
    for platform, entry in table.items():
        yield f"{platform}: {entry['what']}; prices of {entry['date']}, {entry['source']}"
    yield f"the idle time is {idle_s} s (workers.idle_timeout_s), in which a worker waits for the next job"


def estimated_lines(config: DeployConfig, arguments: argparse.Namespace) -> Iterator[str]:
    """The estimate of what the command was asked for. Raises DeployError where nothing was measured."""
    if arguments.seconds is not None:
        return lines(config, arguments.seconds, "as you say")
    if arguments.workflow is None:
        raise DeployError("estimate of what? name a workflow.json that has run, or say --seconds")
    return lines(config, *_measured(arguments.workflow))


def _measured(path: Path) -> tuple[float, str]:
    """GPU seconds of the jobs like the workflow that the environment's store remembers, on the engine that had most."""
    from runtime.build import build_artifacts, build_jobs
    from runtime.clock import SystemClock
    from runtime.errors import ServerlessError
    from runtime.graph.workflow import parse_workflow
    from runtime.jobs.estimate import estimate
    from runtime.settings import Settings

    try:
        settings = Settings.from_env(os.environ)
        clock = SystemClock()
        jobs = build_jobs(settings, clock, build_artifacts(settings, clock))
        graph = parse_workflow(path.read_text(encoding="utf-8"))
        found = [one for engine in _ENGINES if (one := estimate(jobs, settings.tenant, graph, engine=engine))]
    except (OSError, ValueError) as exc:
        raise DeployError(f"{path} cannot be read: {exc}") from exc
    except ServerlessError as exc:
        raise DeployError(exc.message) from exc
    if not found:
        raise DeployError(
            f"no job like {path} of tenant {settings.tenant} has completed and is remembered: run it once, set TENANT "
            "to an account's, or say --seconds"
        )
    best = max(found, key=lambda one: one.gpu_seconds.samples)
    return best.gpu_seconds.p50, f"median of {best.gpu_seconds.samples} like it, on the {best.engine} engine"
