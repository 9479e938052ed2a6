from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
LINTER = Path(sys.executable).with_name("actionlint")


def lint(*paths: Path) -> str:
    done = subprocess.run([LINTER, "-no-color", "-shellcheck=", "-pyflakes=", *paths], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def read(path: Path) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return document


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job.get("steps", [])]


def test_actionlint_finds_nothing() -> None:
    assert lint(*WORKFLOWS) == ""


def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps: [{run: 'echo ${{ stepz.a }}'}]\n")
    assert "stepz" in lint(wrong)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_says_which_release_that_is(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)$", path.read_text(), re.MULTILINE)
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_an_action_is_pinned_to_one_release_everywhere() -> None:
    used = {action for path in WORKFLOWS for action in re.findall(r"uses: ([\w/-]+@[0-9a-f]{40})", path.read_text())}
    assert len(used) == len({action.partition("@")[0] for action in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_may_write_unless_its_job_says_so(path: Path) -> None:
    assert read(path)["permissions"] == {"contents": "read"}


def test_no_expression_is_put_into_a_shell() -> None:
    for path in WORKFLOWS:
        assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == [], path


def test_the_tests_are_the_readmes_command_on_every_python_that_is_supported() -> None:
    test = read(FOLDER / "test.yml")["jobs"]["test"]
    assert test["strategy"]["matrix"]["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert test["steps"][-1]["run"] == "./scripts/test"


def test_production_comes_after_staging_and_a_failure_is_put_back() -> None:
    assert read(FOLDER / "deploy.yml")["jobs"]["production"]["needs"] == "staging"
    names = [step.get("name") for step in steps(FOLDER / "deploy-one.yml")]
    assert names.index("Deploy") < names.index("Smoke job") < names.index("Put back what passed last")
    (back,) = [step for step in steps(FOLDER / "deploy-one.yml") if step.get("name") == "Put back what passed last"]
    assert back["if"].startswith("failure()")


def test_the_release_keeps_no_token() -> None:
    text = (FOLDER / "release.yml").read_text()
    assert "secrets." not in text
    assert read(FOLDER / "release.yml")["jobs"]["publish"]["permissions"] == {"id-token": "write"}
