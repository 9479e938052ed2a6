"""What the settings make of the manifest and of who is asked as whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.aws import AwsAccess
from runtime.build import build
from runtime.errors import SettingsInvalid
from runtime.models.manifest import Manifest
from runtime.models.sync import assembly
from runtime.models.sync.assembly import build_fetcher, build_manifest
from runtime.settings import Settings

MODEL = "  - {name: a.pt, folder: vae, sources: ['file:///a'], sha256: " + "ab" * 32 + ", deployments: [one]}\n"


def settings(tmp_path: Path, text: str, **further: str) -> Settings:
    (tmp_path / "manifest.yaml").write_text(text)
    variables = {"MODELS_PATH": tmp_path / "models", "MODELS_MANIFEST": tmp_path / "manifest.yaml", **further}
    return Settings.from_env({name: str(value) for name, value in variables.items()})


def test_a_worker_does_not_start_with_a_manifest_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"manifest\.yaml: line 1, modls: is no key here; did you mean models"):
        build(settings(tmp_path, "modls: []\n"))


def test_a_manifest_that_is_named_has_to_be_there_and_the_default_one_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "absent.yaml"
    with pytest.raises(SettingsInvalid, match="there is no such file"):
        build_manifest(Settings.from_env({"MODELS_MANIFEST": str(absent)}))
    default = Settings().model_copy()
    object.__setattr__(default, "models_manifest", absent)
    assert build_manifest(default) == Manifest()


@pytest.mark.parametrize(("deployment", "names"), [("one", ["a.pt"]), ("two", [])])
def test_a_worker_takes_its_own_deployments_models(tmp_path: Path, deployment: str, names: list[str]) -> None:
    made = build_fetcher(settings(tmp_path, f"models:\n{MODEL}", DEPLOYMENT=deployment), AwsAccess())
    assert [model.name for model in made.manifest.models] == names


def test_tokens_are_the_operators_sources_alone_and_never_shown(tmp_path: Path) -> None:
    found = settings(tmp_path, "", HF_TOKEN="hf_SECRET", CIVITAI_API_TOKEN="SECRET_too")
    own = assembly.build_syncer(found, Manifest(), AwsAccess())._access
    of_requests = assembly.build_url_syncer(found, Manifest())._access
    assert (own.hf_token, own.civitai_token) == ("hf_SECRET", "SECRET_too")
    assert (of_requests.hf_token, of_requests.civitai_token, of_requests.s3_client) == (None, None, None)
    assert not of_requests.web.allow_private
    assert "SECRET" not in repr(own) + repr(found)
