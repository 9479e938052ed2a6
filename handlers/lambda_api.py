"""The HTTP API on AWS Lambda, behind API Gateway (HTTP APIs, payload 2.0) or a function URL: `handle` is the function.

Lambda freezes a process between calls, so no worker runs in it: DISPATCH says which queue or endpoint has the jobs. An
answer cannot be streamed there; clients follow a job by `GET /workflows/{id}?wait=20&after=REVISION`, as the SDK does.
"""

from __future__ import annotations

import os
from typing import Any

from runtime.api.build import build_api
from runtime.aws_parameters import read_parameters
from runtime.errors import SettingsInvalid
from runtime.fitness import log_to_stderr
from runtime.settings import Settings
from runtime.telemetry.traces import flush_spans

_built: list[Any] = []


def handle(event: dict[str, Any], context: Any) -> Any:
    """Answer one call; the first one builds the app. Lambda freezes the process then. Raises SettingsInvalid."""
    if not _built:
        os.environ |= read_parameters(os.environ)
        _built.append(_adapter(Settings.load()))
    answer = _built[0](event, context)
    flush_spans()
    return answer


def _adapter(settings: Settings) -> Any:
    from mangum import Mangum

    if "local" in settings.dispatch:
        raise SettingsInvalid("DISPATCH names local: a function on Lambda runs no worker; expected sqs, runpod, ...")
    log_to_stderr(settings, alone=True)  # Lambda's own would write what ours blots out
    return Mangum(build_api(settings), lifespan="off")
