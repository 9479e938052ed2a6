from __future__ import annotations

from importlib.metadata import EntryPoint, version

import pytest
from comfyui_serverless import command

Output = pytest.CaptureFixture[str]


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`good` answers how many words it was given; `bundle` and `broken` cannot be loaded."""
    targets = {"good": "builtins:len", "bundle": "runtime.not_here:main", "broken": "module_of_nobody:main"}
    entries = [EntryPoint(name, value, "comfyui_serverless.verbs") for name, value in targets.items()]
    monkeypatch.setattr(command, "_entry_points", lambda: entries)


@pytest.mark.usefixtures("verbs")
def test_a_verb_is_given_the_other_words_and_its_answer_is_the_exit_status() -> None:
    assert command.main(["good", "a", "b"]) == 2


@pytest.mark.usefixtures("verbs")
@pytest.mark.parametrize(("words", "status"), [([], 2), (["-h"], 0), (["--help"], 0)], ids=["nothing", "-h", "--help"])
def test_without_a_verb_it_tells_which_there_are(words: list[str], status: int, capsys: Output) -> None:
    assert command.main(words) == status
    assert "  good" in capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("verbs")
def test_a_verb_that_there_is_not_is_named_with_those_there_are(capsys: Output) -> None:
    assert command.main(["godo"]) == 2
    assert "no verb 'godo'; there are: broken, bundle, good" in capsys.readouterr().err


@pytest.mark.usefixtures("verbs")
def test_a_verb_of_the_bundle_says_how_to_get_it_where_it_is_absent(capsys: Output) -> None:
    assert command.main(["bundle"]) == 2
    assert "clone the repository" in capsys.readouterr().err


@pytest.mark.usefixtures("verbs")
def test_a_module_that_is_missing_for_another_reason_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="module_of_nobody"):
        command.main(["broken"])


def test_the_installed_command_knows_its_verbs(capsys: Output) -> None:
    command.main(["--help"])
    shown = capsys.readouterr().out
    assert "  submit  send a workflow to a deployment\n" in shown
    assert sorted(command._ABOUT) == sorted(entry.name for entry in command._entry_points())


def test_it_tells_its_release(capsys: Output) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"comfyui-serverless {version('comfyui-serverless')}\n"


def test_a_checkout_that_is_not_installed_has_no_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_DISTRIBUTION", "a-distribution-of-nobody")
    assert command._entry_points() == []
