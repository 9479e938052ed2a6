"""The settings of where the HTTP API sends jobs."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from runtime.api.dispatch.rule import Backend, Rule
from runtime.http_settings import HttpSettings
from runtime.setting import names, setting


def _rules(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as exc:
        raise ValueError('expected JSON, as in [{"to": ["runpod"], "priority": ["high"]}]') from exc


class DispatchSettings(HttpSettings):
    """Part of `runtime.settings.Settings`."""

    dispatch: Annotated[tuple[Backend, ...], BeforeValidator(names), Field(min_length=1)] = setting(
        "DISPATCH",
        default=("local",),
        help="where the HTTP API sends jobs: local, sqs, runpod, modal or http; several, by comma: the next where one "
        "is down",
    )
    dispatch_rules: Annotated[tuple[Rule, ...], BeforeValidator(_rules)] = setting(
        "DISPATCH_RULES",
        default=(),
        help="JSON: a list of {to: [...], priority: [...], nodes: [...], models: [...]}; the first that holds is taken "
        "in the place of DISPATCH; names may hold * and ?",
    )
    runpod_endpoint_id: str | None = setting(
        "RUNPOD_ENDPOINT_ID", default=None, help="the endpoint that dispatch by runpod sends to"
    )
    runpod_api_key: SecretStr | None = setting(
        "RUNPOD_API_KEY", default=None, help="the key by which dispatch by runpod sends"
    )
    runpod_endpoint_url: str = setting(
        "RUNPOD_ENDPOINT_URL",
        default="https://api.runpod.ai/v2",
        help="where RunPod's endpoints are called",
        pattern=r"^https?://",
    )
    modal_app: str | None = setting("MODAL_APP", default=None, help="the app that dispatch by modal sends to")
    dispatch_http_url: str | None = setting(
        "DISPATCH_HTTP_URL",
        default=None,
        help="the HTTP API that dispatch by http sends to, which shares stores and SECRET_KEY",
        pattern=r"^https?://",
    )
