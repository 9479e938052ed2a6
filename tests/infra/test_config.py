from __future__ import annotations

from pathlib import Path

import pytest

from infra.deploy.config import AwsConfig, DeployConfig
from infra.deploy.errors import DeployError


def written(folder: Path, text: str) -> Path:
    path = folder / "deploy.yaml"
    path.write_text(text)
    return path


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    assert DeployConfig.read(tmp_path / "deploy.yaml") == DeployConfig()


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    path = written(tmp_path, "name: studio\naws: {region: eu-west-1, output_days: 7}\n")
    assert DeployConfig.read(path) == DeployConfig(name="studio", aws=AwsConfig(region="eu-west-1", output_days=7))


def test_the_environment_of_the_command_line_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "environment: production\n")
    assert DeployConfig.read(path, environment="staging").environment == "staging"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: My App", "name is 'My App'"),
        ("aws: {output_days: 0}", "aws.output_days is 0"),
        ("aws: {days: 3}", "aws.days is no field of a deployment"),
        ("- a", "holds a list"),
        ("a: [", "cannot be read"),
    ],
    ids=["name", "bound", "unknown", "shape", "yaml"],
)
def test_what_is_wrong_is_named_with_its_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DeployError, match=said):
        DeployConfig.read(written(tmp_path, text))
