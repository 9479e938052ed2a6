from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra.deploy.config import AwsConfig, DeployConfig, WorkersConfig
from infra.deploy.config_file import read_config
from infra.deploy.errors import DeployError
from infra.deploy.gpus import GPUS, names_on
from scripts.deploy_schema import SCHEMA, schema

WHOLE = """\
name: studio
image: ghcr.io/studio/comfyui-serverless:1.2.0
gpus: [h100, l40s]
workers: {min: 1, max: 8, idle_timeout_s: 30, concurrency: 2}
volume: {size_gb: 200}
region: EU-RO-1
env: {LOG_LEVEL: INFO, MAX_NODES: 500, MODEL_FETCH: true}
secrets: {HF_TOKEN: huggingface}
environments:
  staging:
    workers: {min: 0}
    env: {LOG_LEVEL: DEBUG}
aws: {region: eu-west-1, output_days: 7}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "deploy.yaml"
    path.write_text(text)
    return path


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    assert read_config(tmp_path / "deploy.yaml") == DeployConfig()


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, WHOLE))
    assert config.workers == WorkersConfig(min=1, max=8, idle_timeout_s=30, concurrency=2)
    assert config.aws == AwsConfig(region="eu-west-1", output_days=7)
    assert config.full_name == "studio-production"


def test_what_yaml_takes_for_numbers_and_truth_values_are_texts_in_variables(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, WHOLE)).env == {"LOG_LEVEL": "INFO", "MAX_NODES": "500", "MODEL_FETCH": "true"}


def test_an_environment_is_laid_over_the_rest(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, WHOLE), environment="staging")
    assert (config.environment, config.workers.min, config.workers.max) == ("staging", 0, 8)
    assert config.env["LOG_LEVEL"] == "DEBUG"
    assert config.env["MAX_NODES"] == "500"


def test_the_environment_of_the_command_line_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "environment: production\n")
    assert read_config(path, environment="staging").environment == "staging"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: My App", r"deploy.yaml:1: name is 'My App'; expected a lower-case letter"),
        ("name: a\naws: {output_days: 0}", r"deploy.yaml:2: aws.output_days is 0; expected greater than or equal to 1"),
        ("aws: {output_dys: 3}", r"deploy.yaml:1: aws.output_dys is no field here; did you mean output_days\?"),
        ("workers:\n  max: many", r"deploy.yaml:2: workers.max is 'many'; expected a valid integer"),
        ("workers: {min: 3, max: 2}", r"deploy.yaml:1: workers: min is 3 and max 2; expected max to be at least min"),
        ("image: ubuntu", r"deploy.yaml:1: image is 'ubuntu'; expected REGISTRY/NAME:TAG"),
        ("gpus: [gtx]", r"deploy.yaml:1: gpus\[0\] is 'gtx'; expected 't4', 'l4'"),
        ("env:\n  HF_TOKEN: x", r"env.HF_TOKEN would lie open in this file; expected it in secrets"),
        ("secrets: {A: a}\nenv: {A: a}", r"A stands in env and in secrets"),
        ("environments: {staging: {workers: {max: 0}}}", r"deploy.yaml:1: workers.max is 0; expected greater"),
        ("environments:\n  staging:\n    environment: x", r"deploy.yaml:3: environments.staging.environment is no"),
        ("environments: {test: {}}", r"environments.test.*expected 'staging' or 'production'"),
        ("name: a\nname: b", r"deploy.yaml:2: name stands here a second time"),
        ("- a", r"deploy.yaml:1: is a list; expected fields"),
        ("a: [", r"deploy.yaml:\d"),
    ],
    ids=[
        "name", "bound", "unknown", "type", "order", "image", "gpu", "open secret", "twice", "overlay",
        "nested overlay", "environment", "repeated", "shape", "yaml",
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_key_value_and_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DeployError, match=said):
        read_config(written(tmp_path, text), environment="staging")


def test_what_may_be_a_secret_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(DeployError) as raised:
        read_config(written(tmp_path, "secrets: {HF_TOKEN: 'hf_abc def'}"))
    assert "hf_abc" not in str(raised.value)
    assert "expected" in str(raised.value)


def test_everything_that_is_wrong_is_named_in_the_files_order(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r":1: name is.*:2: workers.min is"):
        read_config(written(tmp_path, "name: A\nworkers: {min: -1}\n"))


def test_an_image_that_is_needed_and_not_named_says_how_to_make_it() -> None:
    with pytest.raises(DeployError, match=r"docker build -f Dockerfile.gpu.*image: REGISTRY/NAME:TAG"):
        DeployConfig().image_on("RunPod")


def test_gpus_go_by_the_platforms_names_in_order_of_preference() -> None:
    assert names_on("modal", ["h100", "rtx-4090", "l4"]) == ["H100", "L4"]


def test_gpus_that_a_platform_lacks_are_refused_with_those_that_it_has() -> None:
    with pytest.raises(DeployError, match="gpus is t4, of which cloudrun has none; expected one of l4"):
        names_on("cloudrun", ["t4"])


@pytest.mark.parametrize("gpu", GPUS.values(), ids=list(GPUS))
def test_every_gpu_is_somewhere(gpu: object) -> None:
    assert any(value for name, value in vars(gpu).items() if name != "memory_gb")


def test_the_schema_in_the_docs_is_the_one_of_the_classes() -> None:
    assert SCHEMA.read_text() == schema(), "run `python -m scripts.deploy_schema`"


def test_the_schema_takes_what_the_classes_take() -> None:
    validator = Draft202012Validator(json.loads(schema()))
    validator.validate(yaml.safe_load(WHOLE))
    assert list(validator.iter_errors({"workers": {"max": 0}}))
