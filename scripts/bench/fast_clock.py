"""The clock of a process in the chaos run: faster than real time, and wrong by seconds."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

_START, _SPEED, _SKEW = "CHAOS_START", "CHAOS_SPEED", "CHAOS_SKEW_S"


class FastClock:
    """From `start` on, in epoch seconds, time passes `speed` times as fast; the wall clock is off by `skew_s`."""

    def __init__(self, *, start: float, speed: float, skew_s: float = 0.0) -> None:
        self._start = start
        self._speed = speed
        self._skew_s = skew_s

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> FastClock:
        return cls(start=float(env[_START]), speed=float(env[_SPEED]), skew_s=float(env[_SKEW]))

    def to_env(self, *, skew_s: float) -> dict[str, str]:
        """The variables by which another process has this clock, off by `skew_s`."""
        return {_START: str(self._start), _SPEED: str(self._speed), _SKEW: str(skew_s)}

    def wall(self) -> float:
        return self._start + (time.time() - self._start) * self._speed + self._skew_s

    def monotonic(self) -> float:
        return time.monotonic() * self._speed


def main() -> None:
    """Run the worker that the command line names, sqs or runpod, or a local AWS, on the clock of the environment.

    SIGUSR1 has the process write the stacks of its threads to standard error.
    """
    import faulthandler
    import signal
    import sys

    faulthandler.register(signal.SIGUSR1)
    clock = FastClock.from_env(os.environ)
    if sys.argv[1] == "aws":
        _serve_aws(clock)
        return
    _tick_faster()
    if sys.argv[1] == "sqs":
        from handlers import sqs_worker

        sys.exit(sqs_worker.main([], clock=clock))
    else:
        from handlers import runpod_worker

        del sys.argv[1:]
        runpod_worker.main(clock=clock)


def _tick_faster() -> None:
    """A lease is over sooner, so a heartbeat looks at it more often."""
    from runtime import heartbeat

    vars(heartbeat).update(TICK_S=0.2)


def _serve_aws(clock: FastClock) -> None:
    """Serve moto's AWS on a free port, its queues' visibility on `clock`, until standard input ends.

    A conditional write of moto's is no atomic step between threads: its DynamoDB takes one request at a time here.
    """
    import sys
    import threading

    from moto.moto_server import threaded_moto_server as served
    from moto.server import ThreadedMotoServer
    from moto.sqs import models

    vars(models).update(unix_time=clock.wall, unix_time_millis=lambda: clock.wall() * 1000)
    one_at_a_time = threading.Lock()

    application = vars(served)["DomainDispatcherApplication"]

    def atomic(create_app: Any) -> Callable[[dict[str, Any], Any], Any]:
        whole = application(create_app)

        def call(environ: dict[str, Any], start_response: Any) -> Any:
            is_dynamodb = environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB")
            with one_at_a_time if is_dynamodb else contextlib.nullcontext():
                return whole(environ, start_response)

        return call

    vars(served).update(DomainDispatcherApplication=atomic)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
