"""Builds the syncers and the fetcher that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runtime.aws import AwsAccess, client_config
from runtime.fetch.access import WebAccess
from runtime.models.fetcher import ModelFetcher, UrlRules
from runtime.models.manifest import Manifest
from runtime.models.manifest_file import load_manifest
from runtime.models.sync.remote import SourceAccess
from runtime.models.sync.room import Room
from runtime.models.sync.syncer import Syncer
from runtime.models.sync.users import Users
from runtime.models.sync.volume import Volume
from runtime.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from pydantic import SecretStr

_READ_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 10.0


def build_manifest(settings: Settings) -> Manifest:
    """The manifest of every deployment; an empty one where no file is named and there is none beside the code.

    Raises SettingsInvalid naming line and key of what is wrong in it.
    """
    if "models_manifest" not in settings.model_fields_set and not settings.models_manifest.exists():
        return Manifest()
    return load_manifest(settings.models_manifest)


def build_syncer(settings: Settings, manifest: Manifest, s3: AwsAccess) -> Syncer:
    """Fetches from the manifest's sources, which are the operator's own and may lie at private addresses."""
    access = SourceAccess(
        web=_web(allow_private=True),
        s3_client=_s3_client(settings, s3) if find_spec("boto3") else None,
        hf_endpoint=settings.hf_endpoint.rstrip("/"),
        civitai_endpoint=settings.civitai_endpoint.rstrip("/"),
        hf_token=_revealed(settings.hf_token),
        civitai_token=_revealed(settings.civitai_api_token),
    )
    return _syncer(settings, manifest, access)


def build_url_syncer(settings: Settings, manifest: Manifest) -> Syncer:
    """Fetches what a request gives a URL of: from public addresses alone, and with nobody's token."""
    return _syncer(settings, manifest, SourceAccess(web=_web(allow_private=settings.allow_private_urls)))


def build_fetcher(settings: Settings, s3: AwsAccess) -> ModelFetcher:
    """What brings the models of a graph onto the volume."""
    manifest = build_manifest(settings)
    return ModelFetcher(
        manifest.of(settings.deployment),
        syncer=build_syncer(settings, manifest, s3),
        url_syncer=build_url_syncer(settings, manifest),
        users=Users(Volume(settings.models_path)),
        enabled=settings.model_fetch,
        urls=UrlRules(
            hosts=[host.lower() for host in settings.model_url_hosts],
            most_bytes=int(settings.max_model_url_gb * 1e9),
        ),
        others=manifest.beside(settings.deployment),
    )


def _syncer(settings: Settings, manifest: Manifest, access: SourceAccess) -> Syncer:
    volume = Volume(settings.models_path)
    room = Room(
        volume,
        limit_bytes=int(settings.models_volume_gb * 1e9) or None,
        pinned={model.path for model in manifest.models if model.pinned},
    )
    return Syncer(volume, access, room=room, connections=settings.model_connections)


def _web(*, allow_private: bool) -> WebAccess:
    return WebAccess(allow_private=allow_private, connect_timeout_s=_CONNECT_TIMEOUT_S, read_timeout_s=_READ_TIMEOUT_S)


def _s3_client(settings: Settings, s3: AwsAccess) -> Callable[[], S3Client]:
    def client() -> Any:
        config = client_config(read_timeout_s=_READ_TIMEOUT_S, max_pool_connections=settings.model_connections)
        return s3.session.client("s3", endpoint_url=s3.endpoint_url, config=config)

    return client


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
