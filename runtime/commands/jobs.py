"""`comfyui-serverless jobs`: a user's jobs, what they came to, and how long a workflow will take."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from runtime.build import build_artifacts, build_jobs
from runtime.clock import SystemClock
from runtime.errors import InvalidRequest, ServerlessError
from runtime.graph.workflow import parse_workflow
from runtime.jobs.estimate import Estimate, estimate
from runtime.jobs.record import ANONYMOUS, JobSummary, Status
from runtime.jobs.spread import Spread
from runtime.jobs.statistics import Statistics, duration_s, statistics_of
from runtime.jobs.store import JobStore
from runtime.settings import Settings

_ENGINES = ("native", "comfyui")


def main(words: Sequence[str]) -> int:
    """Answer one question. Answers 0, 1 where no job was like the workflow, 2 for what cannot be answered."""
    arguments = _parser().parse_args(list(words))
    try:
        settings = Settings.load()
        clock = SystemClock()
        jobs = build_jobs(settings, clock, build_artifacts(settings, clock))
        status: int = arguments.answer(arguments, jobs, settings.tenant)
    except ServerlessError as exc:
        print(f"comfyui-serverless jobs: {exc.message}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="comfyui-serverless jobs", description="What is known of jobs.")
    verbs = parser.add_subparsers(required=True, metavar="list|stats|estimate")
    listing = verbs.add_parser("list", help="a user's jobs, newest first")
    listing.set_defaults(answer=_list)
    listing.add_argument("--status", type=Status, choices=[*Status], metavar="STATUS", help="only those of one status")
    listing.add_argument("--limit", type=int, default=20, help="how many (20)")
    listing.add_argument("--cursor", help="go on where a page ended")
    stats = verbs.add_parser("stats", help="a user's jobs of the last days, together")
    stats.set_defaults(answer=_stats)
    stats.add_argument("--days", type=float, default=1, help="how many days (1)")
    for verb in (listing, stats):
        verb.add_argument("--user", default=ANONYMOUS, help="whose (those that came without a user_id)")
    expected = verbs.add_parser("estimate", help="how long a workflow will take")
    expected.set_defaults(answer=_estimate)
    expected.add_argument("workflow", type=Path, help="a workflow in API format")
    for verb in (listing, stats, expected):
        verb.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(arguments: argparse.Namespace, jobs: JobStore, tenant: str) -> int:
    page = jobs.list_by_user(
        tenant, arguments.user, cursor=arguments.cursor, limit=arguments.limit, status=arguments.status
    )
    if arguments.json:
        rows = [{**asdict(job), "status": job.status.value} for job in page.jobs]
        print(json.dumps({"jobs": rows, "cursor": page.cursor}))
        return 0
    for job in page.jobs:
        print(f"{job.created_at[:19]}Z  {job.status.value:9}  {_duration(job):>9}  {job.job_id}")
    if page.cursor:
        print(f"more: --cursor {page.cursor}")
    return 0


def _duration(job: JobSummary) -> str:
    return f"{duration_s(job):.1f} s" if job.finished_at else ""


def _stats(arguments: argparse.Namespace, jobs: JobStore, tenant: str) -> int:
    now = time.time()
    found = statistics_of(jobs, tenant, arguments.user, since=now - arguments.days * 86_400, until=now)
    print(json.dumps(asdict(found)) if arguments.json else "\n".join(_lines(found)))
    return 0


def _lines(found: Statistics) -> list[str]:
    counts = ", ".join(f"{status} {count}" for status, count in sorted(found.by_status.items()))
    lines = [f"jobs      {found.jobs}{f' ({counts})' if counts else ''}"]
    if found.duration_s and found.queue_s:
        lines += [f"duration  {_spread(found.duration_s)}", f"queue     {_spread(found.queue_s)}"]
    lines.append(f"GPU       {found.gpu_seconds:.1f} s")
    return lines if found.is_complete else [*lines, "there are more: only the newest are counted"]


def _spread(spread: Spread) -> str:
    return f"mean {spread.mean:.2f} s, half within {spread.p50:.2f} s, 90 % {spread.p90:.2f} s, 99 % {spread.p99:.2f} s"


def _estimate(arguments: argparse.Namespace, jobs: JobStore, tenant: str) -> int:
    graph = parse_workflow(_read(arguments.workflow))
    found = [one for engine in _ENGINES if (one := estimate(jobs, tenant, graph, engine=engine))]
    if arguments.json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        print("\n".join(map(_line, found)) or "no job like this one has completed and is remembered")
    return 0 if found else 1


def _line(found: Estimate) -> str:
    time_s = found.duration_s
    samples = f"{time_s.samples} job{'s' if time_s.samples > 1 else ''}"
    return f"{found.engine}: {time_s.p50:.2f} s, most between {time_s.p10:.2f} and {time_s.p90:.2f} s ({samples})"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc}") from exc
