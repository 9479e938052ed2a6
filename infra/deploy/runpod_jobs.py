"""Jobs that a deployment runs on its own endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.deploy.errors import DeployError
from infra.deploy.runpod_api import RunpodApi
from infra.deploy.target import Say

_LOOK_S = 5.0
_LOOKS = 17_280
"""A day: the first worker pulls the image, and a sync may bring terabytes."""
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")


class RunpodJobs:
    """Runs jobs by the addresses that an endpoint names."""

    def __init__(self, api: RunpodApi, urls: Mapping[str, str]) -> None:
        self._api = api
        self._urls = urls

    def run(self, data: Mapping[str, Any], say: Say) -> Mapping[str, Any]:
        """The output of a job, once it has one; `say` is told when its state changes. Raises DeployError."""
        policy = {"executionTimeout": int(_LOOKS * _LOOK_S * 1000)}
        job_id = str(self._api.call("POST", self._urls["run"], {"input": data, "policy": policy})["id"])
        url, state = self._urls["status"].replace("{job_id}", job_id), ""
        for _ in range(_LOOKS):
            found = self._api.call("GET", url)
            if found["status"] in _ENDED:
                output: Mapping[str, Any] = found.get("output") or {}
                return output or {"status": "failed", "error": found.get("error") or found["status"]}
            if found["status"] != state:
                state = str(found["status"])
                say(f"job {job_id}: {state}")
            self._api.pause(_LOOK_S)
        raise DeployError(f"job {job_id} has not ended in a day: see `deploy logs runpod`")
