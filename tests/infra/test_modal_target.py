"""Modal as a target: an account in memory stands for Modal's, whose client can only be spoken to with an account."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.deploy import modal_target
from infra.deploy.command import main
from infra.deploy.config import DeployConfig, WorkersConfig
from infra.deploy.config_digest import digests
from infra.deploy.errors import DeployError
from infra.deploy.modal_account import ModalAccount, explained
from infra.deploy.modal_target import ModalTarget
from infra.deploy.smoke import RGB, SIDE, check_smoke

GOLDEN = Path(__file__).parent / "golden" / "modal.txt"


def picture(rgb: tuple[int, int, int]) -> str:
    held = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), rgb).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


class AccountHere:
    """An account whose apps, volumes and secrets are in memory; `fails` names a call that raises."""

    def __init__(self) -> None:
        self.apps: dict[str, Mapping[str, str]] = {}
        self.volumes: set[str] = set()
        self.secrets: dict[str, set[str]] = {}
        self.made: list[str] = []
        self.fails = ""
        self.colour = RGB

    def _call(self, name: str) -> None:
        if self.fails == name:
            raise DeployError(f"Modal refused: {name}")
        self.made.append(name)

    def tags(self, app: str) -> Mapping[str, str] | None:
        return self.apps.get(app)

    def has_volume(self, name: str) -> bool:
        return name in self.volumes

    def lacks_secret(self, name: str, variables: list[str]) -> str | None:
        missing = set(variables) - self.secrets.get(name, set())
        return f"it lacks {min(missing)}" if missing else None

    def deploy(self, config: DeployConfig) -> None:
        self.volumes.add(f"{config.full_name}-models")
        self._call("deploy")
        self.apps[config.full_name] = digests(config)

    def sync(self, app: str) -> int:
        self._call("sync")
        return 0

    def run(self, app: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._call("run")
        return {"status": "completed", "engine": "native", "images": [{"data": picture(self.colour)}]}

    def web_url(self, app: str) -> str | None:
        return f"https://you--{app}-web.modal.run"

    def logs(self, app: str, *, follow: bool) -> Iterator[str]:
        return iter([f"{app} said this"])

    def stop(self, app: str) -> None:
        self._call("stop")
        del self.apps[app]

    def delete_volume(self, name: str) -> None:
        self.volumes.discard(name)


@pytest.fixture
def account() -> AccountHere:
    return AccountHere()


def applied(account: AccountHere, config: DeployConfig | None = None) -> list[str]:
    said: list[str] = []
    ModalTarget(config or DeployConfig(), account=account).apply(said.append)
    return said


def test_the_plan_is_the_golden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(modal_target, "ModalAccount", AccountHere)
    assert main(["modal", "--plan"]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()


def test_a_deployment_ends_with_a_picture_that_was_checked_and_where_the_api_is(account: AccountHere) -> None:
    said = applied(account)
    assert account.made == ["deploy", "sync", "run"]
    assert "smoke job completed on the native engine, its picture is right" in said
    assert "API: https://you--comfyui-production-web.modal.run" in said


def test_a_wrong_picture_fails_the_deployment(account: AccountHere) -> None:
    account.colour = (0, 0, 0)
    with pytest.raises(DeployError, match=r"the smoke job's picture is \(64, 64\) of"):
        applied(account)


def test_a_second_deploy_builds_nothing(account: AccountHere) -> None:
    applied(account)
    assert {step.action for step in ModalTarget(DeployConfig(), account=account).plan().steps} == {"keep"}
    applied(account)
    assert account.made.count("deploy") == 1


@pytest.mark.parametrize("call", ["deploy", "sync", "run"])
def test_a_half_made_deployment_is_finished_by_the_next_run(account: AccountHere, call: str) -> None:
    account.fails = call
    with pytest.raises(DeployError, match="Modal refused"):
        applied(account)
    account.fails = ""
    applied(account)
    assert account.made.count("deploy") == 1
    assert account.made[-1] == "run"


def test_what_differs_from_the_file_is_named(account: AccountHere) -> None:
    applied(account)
    changed = DeployConfig(workers=WorkersConfig(max=9))
    (step,) = ModalTarget(changed, account=account).plan().changed
    assert (step.action, step.name, step.where) == ("update", "comfyui-production", ("workers",))


def test_a_secret_that_lacks_its_variable_stops_before_anything_is_made(account: AccountHere) -> None:
    account.secrets["huggingface"] = {"OTHER"}
    with pytest.raises(DeployError, match=r"secret 'huggingface' is not usable: it lacks HF_TOKEN.*modal.com/secrets"):
        applied(account, DeployConfig(secrets={"HF_TOKEN": "huggingface"}))
    assert account.made == []


def test_taking_it_down_leaves_the_models(account: AccountHere) -> None:
    applied(account)
    target = ModalTarget(DeployConfig(), account=account)
    assert target.doomed(delete_data=False) == "app comfyui-production; volume comfyui-production-models stays"
    target.destroy(delete_data=False)
    assert (account.apps, account.volumes) == ({}, {"comfyui-production-models"})
    target.destroy(delete_data=True)
    assert account.volumes == set()


def test_what_is_not_there_cannot_be_shown_or_taken_down(account: AccountHere) -> None:
    target = ModalTarget(DeployConfig(), account=account)
    with pytest.raises(DeployError, match="`comfyui-serverless deploy modal` makes it"):
        target.doomed(delete_data=False)
    with pytest.raises(DeployError, match="there is no app comfyui-production"):
        list(target.logs(follow=False))


def test_credentials_that_are_missing_are_named_with_where_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from modal.exception import AuthError

    with pytest.raises(DeployError, match=r"MODAL_TOKEN_ID.*https://modal\.com/settings/tokens"), explained():
        raise AuthError("Token missing")


def test_a_job_that_failed_is_told_with_its_error() -> None:
    with pytest.raises(DeployError, match=r"ended as failed: \{'code': 'internal'"):
        check_smoke({"status": "failed", "error": {"code": "internal"}})


def test_the_account_has_what_a_target_asks_for() -> None:
    account: modal_target.Account = ModalAccount()
    assert account
