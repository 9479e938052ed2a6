from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import SettingsInvalid
from runtime.settings import Settings, variables


def read(**env: str) -> Settings:
    return Settings.from_env(env)


def test_with_nothing_set_everything_is_embedded() -> None:
    settings = read()
    assert (settings.bucket, settings.dynamodb_table, settings.engine, settings.device) == (None, None, "auto", "auto")


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert read(ENGINE="", MAX_NODES="", S3_BUCKET="") == read()


def test_variables_of_other_programs_do_no_harm() -> None:
    assert read(PATH="/bin", engine="native", Max_Nodes="-5") == read()


@pytest.mark.parametrize(
    ("variable", "value", "field", "meant"),
    [
        ("ENGINE", "native", "engine", "native"),
        ("COMFYUI_MODELS_PATH", "/volume", "models_path", Path("/volume")),
        ("MODELS_PATH", "/volume", "models_path", Path("/volume")),
        ("DEVICE", "cuda:1", "device", "cuda:1"),
        ("DTYPE", "bfloat16", "dtype", "bfloat16"),
        ("MODEL_CACHE_SIZE_GB", "12.5", "model_cache_gb", 12.5),
        ("INPUT_S3_ALLOW", "s3://a/x, s3://b ,", "input_s3_allow", ("s3://a/x", "s3://b")),
        ("ALLOW_PRIVATE_URLS", "true", "allow_private_urls", True),
        ("REFRESH_WORKER", "1", "refresh_worker", True),
        ("MAX_NODES", "5", "max_nodes", 5),
        ("AWS_DEFAULT_REGION", "eu-west-1", "aws_region", "eu-west-1"),
    ],
)
def test_a_variable_is_read_as_what_it_means(variable: str, value: str, field: str, meant: object) -> None:
    assert getattr(read(**{variable: value}), field) == meant


def test_the_first_of_two_names_wins() -> None:
    assert read(COMFYUI_MODELS_PATH="/a", MODELS_PATH="/b").models_path == Path("/a")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("LOG_LEVEL", "LOUD"),
        ("TENANT", "a/b"),
        ("TENANT", "a" * 65),
        ("ENGINE", "other"),
        ("DEVICE", "tpu"),
        ("DEVICE", "cuda:x"),
        ("DTYPE", "int8"),
        ("MODEL_CACHE_SIZE_GB", "-1"),
        ("MODEL_CACHE_SIZE_GB", "much"),
        ("MODEL_CACHE_SIZE_GB", "nan"),
        ("NODE_CACHE_SIZE_GB", "inf"),
        ("MAX_NODES", "0"),
        ("MAX_NODES", "1.5"),
        ("MAX_PIXELS", "63"),
        ("MAX_BATCH", "none"),
        ("MAX_STEPS", "0"),
        ("MAX_FILE_SIZE", "10MB"),
        ("MAX_TIMEOUT_S", "0"),
        ("MAX_TIMEOUT_S", "inf"),
        ("ALLOW_PRIVATE_URLS", "maybe"),
        ("REFRESH_WORKER", "2"),
        ("S3_ENDPOINT_URL", "not an address"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(**{variable: value})
    assert variable in caught.value.message
    assert value in caught.value.message


def test_every_bad_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(ENGINE="other", MAX_NODES="0", DEVICE="tpu")
    assert all(name in caught.value.message for name in ("ENGINE", "MAX_NODES", "DEVICE"))


def test_private_addresses_are_refused_in_production() -> None:
    with pytest.raises(SettingsInvalid, match="ALLOW_PRIVATE_URLS"):
        read(ALLOW_PRIVATE_URLS="1", ENVIRONMENT="production")


def test_secrets_show_nowhere() -> None:
    secrets = ("BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY", "COMFY_ORG_API_KEY")
    settings = read(**dict.fromkeys(secrets, "s3cret"))
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_a_message_about_other_variables_holds_no_secret() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(BUCKET_SECRET_ACCESS_KEY="s3cret", COMFY_ORG_API_KEY="s3cret", MAX_NODES="0")
    assert "s3cret" not in caught.value.message


def test_every_setting_is_documented_under_a_name_of_its_own() -> None:
    documented = list(variables())
    names = [name for listed, _, _ in documented for name in listed.split(" or ")]
    assert len(names) == len(set(names))
    assert all(name.isupper() for name in names)
    assert all(help for _, help, _ in documented)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DISABLE_AUTH": "true"}, "DISABLE_AUTH is on with ENVIRONMENT=development"),
        ({"DISABLE_AUTH": "true", "ENVIRONMENT": "production"}, "it is for testing alone"),
        ({"DEBUG": "true", "ENVIRONMENT": "production"}, "DEBUG is on in production"),
        ({"STORAGE_TYPE": "s3"}, "S3_BUCKET names no bucket"),
        ({"ALGORITHM": "none"}, "ALGORITHM"),
    ],
    ids=["auth off", "auth off in production", "debug in production", "no bucket", "no algorithm"],
)
def test_what_must_not_be_together_is_refused(env: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        read(**env)


def test_a_store_of_files_can_be_local_though_a_bucket_is_named() -> None:
    assert read(STORAGE_TYPE="local", S3_BUCKET="pictures").bucket is None
    assert read(STORAGE_TYPE="s3", S3_BUCKET="pictures").bucket is not None


def test_webhooks_can_be_switched_off() -> None:
    secret = "whsec_" + "A" * 32
    assert read(WEBHOOK_SECRET=secret).webhook_signer.can_sign
    assert not read(WEBHOOK_SECRET=secret, ENABLE_WEBHOOKS="false").webhook_signer.can_sign


def test_debug_logs_everything() -> None:
    assert (read().least_severity, read(DEBUG="1").least_severity) == ("INFO", "DEBUG")


def test_a_severity_may_be_written_small() -> None:
    assert Settings.from_env({"LOG_LEVEL": "warning"}).log_level == "WARNING"
