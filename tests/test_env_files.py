from __future__ import annotations

from pathlib import Path

import pytest

from runtime.env_files import misspelt_in, read_environment, replaced_in
from runtime.settings import Settings


def test_the_process_wins_over_the_environments_file_and_that_over_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENVIRONMENT=testing\nMAX_NODES=1\nMAX_STEPS=1\nMAX_BATCH=1\n")
    (tmp_path / ".env.testing").write_text("MAX_NODES=2\nMAX_STEPS=2\n# a comment\nAPI_TITLE='with spaces'\n")
    (tmp_path / ".env.production").write_text("MAX_NODES=9\n")
    settings = Settings.from_env(read_environment({"MAX_NODES": "3"}, tmp_path))
    assert (settings.max_nodes, settings.max_steps, settings.max_batch) == (3, 2, 1)
    assert (settings.environment, settings.api_title) == ("testing", "with spaces")


def test_without_files_the_environment_is_what_it_is(tmp_path: Path) -> None:
    assert read_environment({"A": "b"}, tmp_path) == {"A": "b"}


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CELERY_TASK_TIME_LIMIT"])
def test_a_variable_that_does_nothing_here_is_named_with_what_is_in_its_place(name: str) -> None:
    (line,) = replaced_in({name: "redis://:secret@host", "DYNAMODB_TABLE": "jobs"})
    assert line.startswith(f"{name} does nothing here")
    assert "secret" not in line


def test_a_variable_that_is_nearly_a_setting_is_named_with_that() -> None:
    env = {"S3_BUKET": "pictures", "S3_BUCKET": "pictures", "HOSTNAME": "a", "MODEL_FETCH_": ""}
    assert misspelt_in(env, {"S3_BUCKET", "HOST", "MODEL_FETCH"}) == [
        "S3_BUKET does nothing here; near it is S3_BUCKET"
    ]


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "RUNPOD_AI_API_KEY"])
def test_a_variable_of_a_platforms_own_library_is_not_taken_for_misspelt(name: str) -> None:
    assert misspelt_in({name: "a"}, {"S3_ENDPOINT_URL", "RUNPOD_API_KEY"}) == []
