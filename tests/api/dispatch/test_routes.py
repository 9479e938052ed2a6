from __future__ import annotations

from typing import Any

import pytest

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.api.dispatch.routes import Routes, chosen
from runtime.api.dispatch.rule import Rule
from runtime.errors import InvalidRequest, SettingsInvalid, StateUnavailable
from runtime.jobs.record import Dispatch, JobKey
from runtime.request import JobRequest
from runtime.settings import Settings

KEY = JobKey("acme", "job-1")
GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "flux1-dev.safetensors"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


class Here:
    """A dispatcher that keeps what it is sent, unless it is down."""

    within_s = 10.0

    def __init__(self, name: str, *, is_down: bool = False) -> None:
        self.dispatch = Dispatch(backend=name)
        self.is_down = is_down
        self.sent: list[JobKey] = []
        self.cancelled: list[JobKey] = []

    def check(self, request: JobRequest) -> None:
        if request.comfy_org_api_key is not None:
            raise InvalidRequest("no key")

    def send(self, key: JobKey, request: JobRequest) -> None:
        if self.is_down:
            raise StateUnavailable(f"{self.dispatch.backend} is down")
        self.sent.append(key)

    def cancel(self, key: JobKey) -> None:
        self.cancelled.append(key)


def request(**fields: Any) -> JobRequest:
    return JobRequest.parse({"workflow": GRAPH, **fields})[0]


def routed(*rules: Rule, down: tuple[str, ...] = ()) -> tuple[Routes, dict[str, Here]]:
    parts = {name: Here(name, is_down=name in down) for name in ("local", "runpod", "modal")}
    named: dict[str, Dispatcher] = {**parts}
    return Routes(named, usual=["local"], rules=rules), parts


@pytest.mark.parametrize(
    ("rule", "fields", "backend"),
    [
        (Rule(to=("runpod",), priority=("high",)), {"priority": "high"}, "runpod"),
        (Rule(to=("runpod",), priority=("high",)), {"priority": "low"}, "local"),
        (Rule(to=("modal",), models=("flux*",)), {}, "modal"),
        (Rule(to=("modal",), models=("sdxl*",)), {}, "local"),
        (Rule(to=("modal",), models=("sdxl*",)), {"overrides": {"1.ckpt_name": "sdxl_base.safetensors"}}, "modal"),
        (Rule(to=("modal",), nodes=("*Loader*",)), {}, "modal"),
        (Rule(to=("modal",), nodes=("Wan*",)), {}, "local"),
        (Rule(to=("modal",), nodes=("*Loader*",), priority=("high",)), {}, "local"),
        (Rule(to=("modal",), nodes=("KSampler",)), {"workflow": '{"nodes": [{"type": "KSampler"}]}'}, "modal"),
        (Rule(to=("modal",), nodes=("KSampler",)), {"workflow": "no JSON"}, "local"),
    ],
)
def test_a_job_goes_where_the_first_rule_that_holds_says(rule: Rule, fields: dict[str, Any], backend: str) -> None:
    routes, parts = routed(rule)
    way = chosen(routes, request(**fields))
    way.send(KEY, request(**fields))
    assert way.dispatch.backend == backend
    assert [name for name, part in parts.items() if part.sent] == [backend]


def test_the_next_is_tried_where_one_is_down() -> None:
    routes, parts = routed(Rule(to=("runpod", "modal")), down=("runpod",))
    routes.send(KEY, request())
    assert parts["modal"].sent == [KEY]


def test_a_job_that_nobody_takes_names_all_that_are_down() -> None:
    routes, _ = routed(Rule(to=("runpod", "modal")), down=("runpod", "modal"))
    with pytest.raises(StateUnavailable, match="runpod is down; modal is down"):
        routes.send(KEY, request())


def test_a_cancel_is_told_to_all_that_may_have_the_job() -> None:
    routes, parts = routed()
    routes.cancel(KEY)
    assert all(part.cancelled == [KEY] for part in parts.values())


def test_what_one_of_a_jobs_ways_could_not_bring_is_refused() -> None:
    routes, _ = routed(Rule(to=("local", "runpod")))
    with pytest.raises(InvalidRequest):
        routes.check(request(comfy_org_api_key="k"))


def test_rules_come_from_the_environment() -> None:
    settings = Settings.from_env(
        {"DISPATCH": "runpod, modal", "DISPATCH_RULES": '[{"to": ["local"], "priority": ["low"]}]'}
    )
    assert settings.dispatch == ("runpod", "modal")
    assert settings.dispatch_rules == (Rule(to=("local",), priority=("low",)),)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DISPATCH": "aws"}, "DISPATCH"),
        ({"DISPATCH_RULES": "runpod"}, "expected JSON, as in"),
        ({"DISPATCH_RULES": '[{"priority": ["high"]}]'}, "DISPATCH_RULES.0.to"),
    ],
)
def test_a_wrong_rule_is_named(env: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        Settings.from_env(env)
