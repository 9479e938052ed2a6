"""The worker of one's own GPUs: `python -m handlers.sqs_worker` takes jobs from SQS until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import functools
import signal
import sys
from collections.abc import Sequence

from runtime.build import build_consumer
from runtime.clock import Clock
from runtime.errors import SettingsInvalid
from runtime.fitness import UnfitDevice, fit_worker
from runtime.gpu_allocator import choose_allocator
from runtime.gpu_thread import GpuThread
from runtime.queue.consumer import Consumer
from runtime.settings import Settings


def main(words: Sequence[str] | None = None, *, clock: Clock | None = None) -> int:
    """Work. Answers 0 after SIGTERM, Ctrl-C or a drained queue, 1 for a GPU that cannot be used, 2 for wrong settings.

    A second signal ends the process at once.
    """
    parser = argparse.ArgumentParser(prog="python -m handlers.sqs_worker", description="Run the jobs that SQS holds.")
    parser.add_argument("--drain", action="store_true", help="end when the queues are empty")
    arguments = parser.parse_args(words)
    try:
        settings = Settings.load()
        choose_allocator(settings)
        build = functools.partial(fit_worker, settings, clock=clock)
        with GpuThread(build, grace_s=settings.cancel_grace_s) as gpu:
            consumer = build_consumer(settings, gpu, clock=clock)
            _stop_on_signals(consumer)
            asyncio.run(gpu.ready())
            return 0 if consumer.run(drain=arguments.drain) else 1
    except (SettingsInvalid, UnfitDevice) as exc:
        sys.stderr.write(f"sqs_worker: {exc}\n")
        return 2 if isinstance(exc, SettingsInvalid) else 1


def _stop_on_signals(consumer: Consumer) -> None:
    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        consumer.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
