"""`ModalAccount` by the real modal package, against a server that speaks its protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from modal_platform import TOKEN, ModalPlatform

from infra.deploy.errors import DeployError
from infra.deploy.modal_account import ModalAccount
from runtime.api.dispatch.modal import spawn

APP = "comfyui-production"


def answered(function: str, *arguments: Any) -> Any:
    return 0 if function == "sync" else {"function": function, "given": arguments[0]}


@pytest.fixture
def modal(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModalPlatform]:
    from modal.client import Client
    from modal.exception import AuthError

    platform = ModalPlatform(answered)
    platform.apps[APP] = {"code": "abc"}
    platform.volumes.add(f"{APP}-models")
    platform.secrets["huggingface"] = {"HF_TOKEN"}
    for name, value in zip(("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"), TOKEN, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODAL_SERVER_URL", platform.url)
    yield platform
    with contextlib.suppress(AuthError):  # the package keeps one client a process, of the token it had first
        Client.from_env().close()
    platform.close()


def test_an_app_has_its_tags_and_one_that_is_not_there_none(modal: ModalPlatform) -> None:
    assert ModalAccount().tags(APP) == {"code": "abc"}
    assert ModalAccount().tags("other") is None


def test_a_volume_is_there_or_not_and_deleting_it_twice_is_well(modal: ModalPlatform) -> None:
    assert ModalAccount().has_volume(f"{APP}-models")
    for _ in range(2):
        ModalAccount().delete_volume(f"{APP}-models")
    assert not ModalAccount().has_volume(f"{APP}-models")


def test_a_secret_is_usable_or_it_is_said_what_is_wrong(modal: ModalPlatform) -> None:
    assert ModalAccount().lacks_secret("huggingface", ["HF_TOKEN"]) is None
    assert "OTHER" in str(ModalAccount().lacks_secret("huggingface", ["HF_TOKEN", "OTHER"]))
    assert "not found" in str(ModalAccount().lacks_secret("none", []))


def test_functions_run_and_answer(modal: ModalPlatform) -> None:
    assert ModalAccount().sync(APP) == 0
    assert ModalAccount().run(APP, {"job_id": "j"}) == {"function": "Worker.run", "given": {"job_id": "j"}}
    assert ModalAccount().web_url(APP) == f"https://you--{APP}-web.modal.run"
    assert ModalAccount().web_url("other") is None


def test_the_api_begins_a_call_of_the_worker(modal: ModalPlatform) -> None:
    spawn(APP, {"job_id": "j"})
    assert modal.calls[-1] == "FunctionMap"


def test_logs_are_read_line_by_line(modal: ModalPlatform) -> None:
    modal.logs += ["one", "two"]
    assert list(ModalAccount().logs(APP, follow=False)) == ["one", "two"]


def test_an_app_that_was_stopped_is_not_there(modal: ModalPlatform) -> None:
    ModalAccount().stop(APP)
    assert ModalAccount().tags(APP) is None


def test_a_token_that_is_refused_is_said_with_where_to_get_one(
    modal: ModalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-other")
    with pytest.raises(DeployError, match=r"missing or refused: run `modal setup`.*https://modal.com/settings/tokens"):
        ModalAccount().tags(APP)
