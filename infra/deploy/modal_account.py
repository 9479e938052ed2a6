"""The account at Modal that a deployment is made in, by the modal package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError

_TOKENS_PAGE = "https://modal.com/settings/tokens"
_MISSING_PACKAGE = "deploy modal needs the modal package: pip install -c constraints.txt -e '.[deploy,modal]'"


class Account(Protocol):
    """What a deployment asks of Modal. Every call may raise DeployError."""

    def tags(self, app: str) -> Mapping[str, str] | None:
        """The tags of the deployed app; None where there is none."""

    def has_volume(self, name: str) -> bool:
        """Whether there is a volume of that name."""

    def lacks_secret(self, name: str, variables: list[str]) -> str | None:
        """What is wrong with the secret; None where it is there and has the variables."""

    def deploy(self, config: DeployConfig) -> None:
        """Build the image and deploy the app, in one piece: it is as before where that fails."""

    def sync(self, app: str) -> int:
        """Run the app's sync of its volume; its exit status."""

    def run(self, app: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a job on the app's worker."""

    def web_url(self, app: str) -> str | None:
        """Where the app's API is served; None where it has none."""

    def logs(self, app: str, *, follow: bool) -> Iterator[str]:
        """The app's newest lines, then those that come."""

    def stop(self, app: str) -> None:
        """Stop the app, and whatever runs of it."""

    def delete_volume(self, name: str) -> None:
        """Delete the volume and what is on it."""


class ModalAccount:
    """`Account` by the modal package and its credentials."""

    def tags(self, app: str) -> Mapping[str, str] | None:
        with explained():
            import modal
            from modal.exception import NotFoundError

            try:
                return modal.App.lookup(app).get_tags()
            except NotFoundError:
                return None

    def has_volume(self, name: str) -> bool:
        with explained():
            import modal
            from modal.exception import NotFoundError

            try:
                modal.Volume.from_name(name).hydrate()
            except NotFoundError:
                return False
            return True

    def lacks_secret(self, name: str, variables: list[str]) -> str | None:
        with explained():
            import modal
            from modal.exception import InvalidError, NotFoundError

            try:
                modal.Secret.from_name(name, required_keys=variables).hydrate()
            except (NotFoundError, InvalidError) as exc:
                return str(exc)
            return None

    def deploy(self, config: DeployConfig) -> None:
        with explained():
            import modal

            from infra.deploy.modal_parts import CONFIG_VARIABLE

            os.environ[CONFIG_VARIABLE] = config.model_dump_json()
            from handlers import modal_app

            with modal.enable_output():
                modal_app.app.deploy(name=config.full_name)

    def sync(self, app: str) -> int:
        with explained():
            import modal

            return int(modal.Function.from_name(app, "sync").remote())

    def run(self, app: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        with explained():
            import modal

            answer: Mapping[str, Any] = modal.Cls.from_name(app, "Worker")().run.remote(dict(request))
            return answer

    def web_url(self, app: str) -> str | None:
        with explained():
            import modal
            from modal.exception import NotFoundError

            try:
                return modal.Function.from_name(app, "web").get_web_url()
            except NotFoundError:
                return None

    def logs(self, app: str, *, follow: bool) -> Iterator[str]:
        with explained():
            import modal

            found = modal.App.lookup(app).logs
            for entry in found.tail(100):
                yield entry.message.rstrip("\n")
            if follow:
                for entry in found.stream():
                    yield entry.message.rstrip("\n")

    def stop(self, app: str) -> None:
        with explained():
            import modal

            modal.App.lookup(app).stop()

    def delete_volume(self, name: str) -> None:
        with explained():
            import modal

            modal.Volume.objects.delete(name, allow_missing=True)


@contextmanager
def explained() -> Iterator[None]:
    """What the modal package raises, as a DeployError that says what to do next."""
    try:
        from modal.exception import AuthError, Error
    except ImportError as exc:
        raise DeployError(_MISSING_PACKAGE) from exc
    try:
        yield
    except AuthError as exc:
        raise DeployError(
            f"Modal's credentials are missing or refused: run `modal setup`, or set MODAL_TOKEN_ID and "
            f"MODAL_TOKEN_SECRET; tokens are made at {_TOKENS_PAGE}"
        ) from exc
    except Error as exc:
        raise DeployError(f"Modal refused: {exc}") from exc
