"""The console command. Verbs that need the bundle (a clone or an image) are found by entry points."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution

_DISTRIBUTION = "comfyui-serverless"
_GROUP = "comfyui_serverless.verbs"
_ABOUT = {
    "submit": "send a workflow to a deployment",
    "status": "a job as it stands",
    "watch": "follow a job to its end",
    "cancel": "ask for a job's end",
    "list": "the newest jobs",
    "fetch": "save what a job made",
    "logs": "a job's course, node by node",
    "serve": "the HTTP API with a worker, on this machine",
    "run": "run a workflow here, without a server",
    "jobs": "what the job store of this machine's settings holds",
    "models": "the volume of models: fetch, verify, make room",
    "sweep": "requeue or end jobs whose worker is gone",
    "doctor": "what is wrong with this machine and its settings",
    "deploy": "make, change and remove a deployment",
}
"""In the order in which the usage shows them; a verb that is not among them is shown by its name alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that the first argument names. Answers the exit status: 2 for a command that is not understood."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbs = {entry.name: entry for entry in _entry_points()}
    if words == ["--version"]:
        print(f"comfyui-serverless {distribution(_DISTRIBUTION).version}")
        return 0
    if not words or words[0] in ("-h", "--help"):
        print(_usage(verbs))
        return 0 if words else 2
    entry = verbs.get(words[0])
    if entry is None:
        print(f"comfyui-serverless: no verb {words[0]!r}; there are: {', '.join(sorted(verbs))}", file=sys.stderr)
        return 2
    return _call(entry, words[1:])


def _entry_points() -> list[EntryPoint]:
    try:
        return [entry for entry in distribution(_DISTRIBUTION).entry_points if entry.group == _GROUP]
    except PackageNotFoundError:
        return []


def _call(entry: EntryPoint, words: Sequence[str]) -> int:
    try:
        verb = entry.load()
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in ("runtime", "handlers", "infra"):
            raise
        print(
            f"comfyui-serverless: {entry.name!r} runs from the bundle, which is not here: clone the repository and "
            f"use ./scripts/run, or run it in the image",
            file=sys.stderr,
        )
        return 2
    return int(verb(words))


def _usage(verbs: dict[str, EntryPoint]) -> str:
    names = [*(name for name in _ABOUT if name in verbs), *sorted(verbs.keys() - _ABOUT.keys())]
    lines = [f"  {name:8}{_ABOUT.get(name, '')}".rstrip() for name in names]
    return "\n".join(["usage: comfyui-serverless VERB ...", "", "verbs:", *lines, "", "VERB --help tells more."])
