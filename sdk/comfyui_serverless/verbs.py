"""The command's verbs that speak to a deployment: submit, status, watch, cancel, list, fetch, logs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from comfyui_serverless.client import Client, Job
from comfyui_serverless.errors import ComfyUIServerlessError, JobError, Unauthenticated
from comfyui_serverless.outputs import Result
from comfyui_serverless.states import ENDED, JobState

_PARTS = ("queue", "resolve", "load", "execute", "deliver", "total")
Act = Callable[[Client, argparse.Namespace], int]


def submit(words: Sequence[str]) -> int:
    """Send a workflow; with --wait or --save, follow it to its end."""
    parser = _parser("submit", "Send a workflow, and print the job's id.")
    parser.add_argument("workflow", help="the workflow's file, or a picture that carries it")
    parser.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help="another value")
    parser.add_argument("--seed", type=int, help="every seed of the workflow")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=FILE", help="a file for the graph")
    parser.add_argument("--job-id", help="the job's id: sent again, it is the same job")
    parser.add_argument("--priority", choices=["low", "normal", "high"])
    parser.add_argument("--wait", action="store_true", help="wait for the end, and print the links")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="wait for the end, and save what was made")
    return _run(parser, words, _submit)


def status(words: Sequence[str]) -> int:
    """Print a job as it stands."""
    return _run(_about_a_job("status", "Print a job as it stands."), words, _status)


def watch(words: Sequence[str]) -> int:
    """Follow a job to its end."""
    return _run(_about_a_job("watch", "Follow a job to its end, and print its links."), words, _watch)


def cancel(words: Sequence[str]) -> int:
    """Ask for a job's end."""
    return _run(_about_a_job("cancel", "Ask for a job's end."), words, _cancel)


def fetch(words: Sequence[str]) -> int:
    """Save what a job made, waiting for its end."""
    parser = _about_a_job("fetch", "Save what a job made, once it has ended.")
    parser.add_argument("--save", type=Path, default=Path(), metavar="FOLDER", help="where (the current folder)")
    return _run(parser, words, lambda client, arguments: _follow(client.job(arguments.job_id), arguments))


def list_jobs(words: Sequence[str]) -> int:
    """Print the newest jobs."""
    parser = _parser("list", "Print jobs, newest first.")
    parser.add_argument("--user-id", help="of this user (those without one)")
    parser.add_argument("--limit", type=int, default=20, help="how many (20)")
    parser.add_argument("--status", choices=["pending", "running", *ENDED], help="only those of one status")
    return _run(parser, words, _list)


def logs(words: Sequence[str]) -> int:
    """Print a job's course."""
    parser = _about_a_job("logs", "Print a job's course: its states, what each node took, warnings and errors.")
    parser.add_argument("--follow", action="store_true", help="go on until its end")
    return _run(parser, words, _logs)


def _parser(verb: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"comfyui-serverless {verb}",
        description=f"{description} The deployment is that of --url or --runpod, else of COMFYUI_SERVERLESS_URL or "
        "RUNPOD_ENDPOINT_ID; its key that of COMFYUI_SERVERLESS_TOKEN or RUNPOD_API_KEY.",
    )
    parser.add_argument("--url", help="a deployment of the HTTP API")
    parser.add_argument("--runpod", metavar="ENDPOINT_ID", help="an endpoint at RunPod")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _about_a_job(verb: str, description: str) -> argparse.ArgumentParser:
    parser = _parser(verb, description)
    parser.add_argument("job_id")
    return parser


def _run(parser: argparse.ArgumentParser, words: Sequence[str], act: Act) -> int:
    """Answers 0, 1 where the job or the call failed, 130 after Ctrl-C (which leaves the job alone)."""
    arguments = parser.parse_args(list(words))
    try:
        with _client(arguments) as client:
            return act(client, arguments)
    except JobError as exc:
        if arguments.json:
            print(json.dumps({"job_id": exc.job_id, "error": {"code": exc.code, "message": str(exc)}}))
        print(f"{parser.prog}: job {exc.job_id}: {exc}", file=sys.stderr)
        return 1
    except ComfyUIServerlessError as exc:
        hint = "; the key is read from COMFYUI_SERVERLESS_TOKEN, for RunPod from RUNPOD_API_KEY"
        print(f"{parser.prog}: {exc}{hint if isinstance(exc, Unauthenticated) else ''}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _client(arguments: argparse.Namespace) -> Client:
    if arguments.url or arguments.runpod:
        return Client(arguments.url, runpod=arguments.runpod)
    return Client.from_env()


def _submit(client: Client, arguments: argparse.Namespace) -> int:
    overrides = dict(_pair(given, "--set", _value) for given in arguments.set)
    if arguments.seed is not None:
        overrides["seed"] = arguments.seed
    images = dict(_pair(given, "--image", Path) for given in arguments.image)
    job = client.submit(
        arguments.workflow, overrides, images=images, job_id=arguments.job_id, priority=arguments.priority
    )
    if arguments.wait or arguments.save is not None:
        return _follow(job, arguments)
    print(json.dumps(_plain(job.state)) if arguments.json else job.id)
    return 0


def _status(client: Client, arguments: argparse.Namespace) -> int:
    state = client.job(arguments.job_id).state
    print(json.dumps(_plain(state)) if arguments.json else _line(state))
    return 0


def _watch(client: Client, arguments: argparse.Namespace) -> int:
    arguments.save = None
    return _follow(client.job(arguments.job_id), arguments)


def _cancel(client: Client, arguments: argparse.Namespace) -> int:
    state = client.job(arguments.job_id).cancel()
    asked = "" if state.has_ended else ", its end is asked for"
    print(json.dumps(_plain(state)) if arguments.json else _line(state) + asked)
    return 0


def _list(client: Client, arguments: argparse.Namespace) -> int:
    page = client.jobs(user_id=arguments.user_id, limit=arguments.limit, status=arguments.status)
    if arguments.json:
        print(json.dumps(page))
        return 0
    for job in page["jobs"]:
        print(f"{job['job_id']:26}  {job['status']:10} {job['created_at'][:19]}  {job.get('engine') or ''}".rstrip())
    return 0


def _logs(client: Client, arguments: argparse.Namespace) -> int:
    job = client.job(arguments.job_id)
    for state in job.events() if arguments.follow else (job.state,):
        print(json.dumps(_plain(state)) if arguments.json else "\n".join(_course(state)))
    return 0


def _course(state: JobState) -> list[str]:
    wire = state.wire
    lines = [
        f"{wire[at]}  {at.removesuffix('_at')}" for at in ("created_at", "started_at", "finished_at") if at in wire
    ]
    lines.append(_line(state))
    timings = wire.get("timings_ms") or {}
    if state.has_ended:
        parts = [f"{name} {timings[name] / 1000:.2f} s" for name in _PARTS if timings.get(name)]
        lines += [f"  {', '.join(parts)}"] if parts else []
        lines += [f"  node {id:12} {ms / 1000:.2f} s" for id, ms in (timings.get("nodes") or {}).items()]
        lines += [f"  node {id:12} kept from before" for id in wire.get("cached_nodes", ())]
    error = wire.get("error")
    problems = (error.get("node_errors") or {}) if isinstance(error, dict) else {}
    lines += [
        f"  node {id}: {each.get('message')}" for id, found in problems.items() for each in found.get("errors", ())
    ]
    return [*lines, *(f"  warning: {warning}" for warning in wire.get("warnings", ()))]


def _follow(job: Job, arguments: argparse.Namespace) -> int:
    shown = sys.stderr.isatty() and not arguments.json
    result = job.result(progress=shown)
    saved = _saved(result, arguments.save) if arguments.save is not None else {}
    if arguments.json:
        print(json.dumps({**job.state.wire, "saved": [str(path) for path in saved.values()]}))
        return 0
    print(_line(job.state))
    for number, output in enumerate(result.outputs):
        if output.text is not None or output.url or number in saved:
            print(f"  {output.kind:8} {output.text or saved.get(number) or output.url}")
    for warning in result.warnings:
        print(f"  warning  {warning}")
    return 0


def _saved(result: Result, folder: Path) -> dict[int, Path]:
    """Every file but previews, each under a name that is not taken yet."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [(number, output) for number, output in enumerate(result.outputs) if not output.temporary]
    return {number: output.save(_free(folder / Path(output.filename).name)) for number, output in kept}


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def _line(state: JobState) -> str:
    parts = [f"{state.job_id}: {state.status}"]
    progress = state.progress
    if progress is not None and not state.has_ended:
        parts.append(f"node {progress.nodes_done + 1} of {progress.nodes_total} ({progress.class_type})")
        parts += [f"step {progress.step} of {progress.steps}"] if progress.steps else []
    error = state.wire.get("error")
    if isinstance(error, dict):
        code = "" if error.get("code") == state.status else f"{error.get('code')}: "
        parts.append(f"{code}{error.get('message')}")
    return ", ".join(parts)


def _plain(state: JobState) -> dict[str, Any]:
    progress = vars(state.progress) if state.progress else None
    return {"job_id": state.job_id, "status": state.status, "progress": progress, **state.wire}


def _pair(given: str, option: str, read: Callable[[str], Any]) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise ComfyUIServerlessError(f"{option} {given!r}: expected NAME=VALUE")
    return name, read(value)


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text
