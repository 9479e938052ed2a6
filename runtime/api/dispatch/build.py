"""The dispatchers that the settings name. Nothing of the API is needed for it: the sweeper sends jobs again by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.api.dispatch.routes import Routes
from runtime.api.dispatch.seal import Seal
from runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from runtime.settings import Settings

LOCAL = "local"


def names_of(settings: Settings) -> tuple[str, ...]:
    """Every dispatcher that the settings name, by default or in a rule."""
    return tuple(dict.fromkeys([*settings.dispatch, *(name for rule in settings.dispatch_rules for name in rule.to)]))


def build_seal(settings: Settings) -> Seal:
    """What says whose a job is that was sent here, or is sent elsewhere."""
    secret = settings.secret_key
    return Seal(secret.get_secret_value() if secret else None, tenant=settings.tenant)


def build_remote(settings: Settings) -> dict[str, Dispatcher]:
    """Those to other machines, by name. Raises SettingsInvalid for one that lacks a setting, or has no shared stores.

    A worker elsewhere finds the job in the store, so both must have the same.
    """
    names = [name for name in names_of(settings) if name != LOCAL]
    if names and settings.dynamodb_table is None:
        raise SettingsInvalid(
            f"DISPATCH names {', '.join(names)}, whose workers read jobs from the store: expected DYNAMODB_TABLE set "
            "(and S3_BUCKET), and the same on the workers"
        )
    return {name: _build(name, settings) for name in names}


def build_routes(settings: Settings, dispatchers: Mapping[str, Dispatcher]) -> Dispatcher:
    """The one dispatcher that there is, or all of them behind the settings' rules."""
    if len(dispatchers) == 1 and not settings.dispatch_rules:
        return next(iter(dispatchers.values()))
    return Routes(dispatchers, usual=settings.dispatch, rules=settings.dispatch_rules)


def _build(name: str, settings: Settings) -> Dispatcher:
    seal = build_seal(settings)
    if name == "sqs":
        from runtime.build import build_queues
        from runtime.queue.dispatcher import SqsDispatcher

        return SqsDispatcher(build_queues(settings))
    if name == "runpod":
        from runtime.api.dispatch.runpod import RunPodDispatcher

        key = settings.runpod_api_key
        if settings.runpod_endpoint_id is None or key is None:
            raise SettingsInvalid("DISPATCH names runpod: expected RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY set")
        url = settings.runpod_endpoint_url
        return RunPodDispatcher(settings.runpod_endpoint_id, key.get_secret_value(), seal, url=url)
    if name == "modal":
        from runtime.api.dispatch.modal import ModalDispatcher

        if settings.modal_app is None:
            raise SettingsInvalid("DISPATCH names modal: expected MODAL_APP set, the name of the app")
        return ModalDispatcher(settings.modal_app, seal)
    from runtime.api.dispatch.http import HttpDispatcher

    if settings.dispatch_http_url is None:
        raise SettingsInvalid("DISPATCH names http: expected DISPATCH_HTTP_URL set, the address of the peer")
    return HttpDispatcher(settings.dispatch_http_url, seal)
