"""`comfyui-serverless sweep`: one sweep, or one every so many seconds until it is told to stop."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict

from runtime.build import build_sweeper
from runtime.errors import ServerlessError, SettingsInvalid
from runtime.fitness import log_to_stderr
from runtime.settings import Settings
from runtime.sweeper import Sweeper


def main(words: Sequence[str]) -> int:
    """Sweep. Answers 0, 1 where the store did not answer, 2 for settings that are wrong.

    With `--every`, a store that does not answer is asked again the next time; Ctrl-C and SIGTERM end it with 0.
    """
    arguments = _parser().parse_args(list(words))
    try:
        settings = Settings.load()
        sweeper = build_sweeper(settings)
    except SettingsInvalid as exc:
        print(f"comfyui-serverless sweep: {exc.message}", file=sys.stderr)
        return 2
    log_to_stderr(settings)
    if arguments.every is None:
        return _sweep(sweeper, as_json=arguments.json)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    while not ended.is_set():
        _sweep(sweeper, as_json=arguments.json)
        ended.wait(arguments.every)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comfyui-serverless sweep", description="Requeue or end the jobs whose worker is gone."
    )
    parser.add_argument("--every", type=_seconds, metavar="SECONDS", help="go on, with a pause of so many seconds")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object a sweep")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} s; expected 1 to 86400")
    return seconds


def _sweep(sweeper: Sweeper, *, as_json: bool) -> int:
    try:
        swept = sweeper.sweep()
    except ServerlessError as exc:
        print(f"comfyui-serverless sweep: {exc.message}", file=sys.stderr, flush=True)
        return 1
    print(json.dumps(asdict(swept)) if as_json else f"sweep: {swept}", flush=True)
    return 0
