"""Reading models_manifest.yaml: what it holds, and where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runtime.errors import SettingsInvalid
from runtime.models.manifest import Manifest
from runtime.models.manifest_file import load_manifest, read_manifest
from scripts.manifest_schema import SCHEMA, schema

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models_manifest.yaml"
HASH = "ab" * 32
GOOD = {"name": "a.safetensors", "folder": "checkpoints", "sources": ["https://host/a"], "sha256": HASH}


def manifest_of(*models: dict[str, Any], **further: Any) -> Manifest:
    manifest, problems = read_manifest(json.dumps({"models": models, **further}))
    assert manifest is not None, problems
    return manifest


def problems_of(text: str) -> list[str]:
    manifest, problems = read_manifest(text)
    assert manifest is None
    return [str(problem) for problem in problems]


def wrong(**changed: Any) -> list[str]:
    """What is wrong with a manifest whose one model has other values."""
    return problems_of(json.dumps({"models": [{**GOOD, **changed}]}))


def test_the_shipped_manifest_is_read_and_fetches_nothing_that_no_deployment_asked_for() -> None:
    manifest = load_manifest(SHIPPED)
    assert {model.folder for model in manifest.models} == {"checkpoints", "vae"}
    assert manifest.of("default").models == ()
    assert [model.name for model in manifest.of("sdxl").models if model.preload == "gpu"] == [
        "sd_xl_base_1.0.safetensors"
    ]


def test_the_schema_is_what_the_manifests_classes_say_and_the_shipped_file_names_it() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "run: python -m scripts.manifest_schema"
    assert SHIPPED.read_text().startswith("# yaml-language-server: $schema=docs/models_manifest.schema.json\n")


def test_the_schema_takes_the_shipped_manifest_and_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    assert list(validator.iter_errors(yaml.safe_load(SHIPPED.read_text()))) == []
    for bad in ({"folder": 3}, {"sources": []}, {"sources": ["ftp://x"]}, {"sha256": "x"}, {"preload": "disk"}):
        assert not validator.is_valid({"models": [{**GOOD, **bad}]}), bad


def test_an_empty_file_is_a_manifest_without_models() -> None:
    assert read_manifest("")[0] == Manifest()


def test_a_problem_is_placed_by_line_and_key() -> None:
    text = (
        "version: 1\nmodels:\n  - name: a.safetensors\n    folder: vae\n    sources: [https://h/a]\n    sha256: 12ab\n"
    )
    assert problems_of(text) == [
        "line 6, models[0].sha256: '12ab' does not match; "
        "expected 64 hex digits, which `comfyui-serverless models add` finds out"
    ]


def test_every_problem_is_told_at_once_in_the_files_order() -> None:
    found = problems_of("modls: []\nmodels:\n  - name: ../a.pt\n    folder: vae\n    sources: []\nversion: 7\n")
    assert [text.partition(": ")[0] for text in found] == [
        "line 1, modls",
        "line 3, models[0].name",
        "line 3, models[0].sha256",
        "line 5, models[0].sources",
        "line 6, version",
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"name": "a.txt"}, "none of the suffixes"),
        ({"name": ".a.safetensors"}, "begin with no dot"),
        ({"name": "a" * 201 + ".safetensors"}, "at most 200 bytes"),
        ({"folder": "checkpoint"}, "near names: checkpoints"),
        ({"sources": ["ftp://host/a"]}, "expected one of hf://, s3://"),
        ({"sources": ["hf://just-a-file"]}, "expected hf://OWNER/REPO/FILE@REVISION"),
        ({"sources": ["s3://Bucket"]}, "expected s3://BUCKET/KEY"),
        ({"sources": ["civitai://name"]}, "expected civitai://MODEL_VERSION_ID"),
        ({"sources": ["file://a"]}, "expected file:///ABSOLUTE/PATH"),
        ({"sources": ["https:///a"]}, "expected https://HOST/PATH"),
        ({"sources": []}, "expected at least one"),
        ({"size_bytes": 0}, "greater than or equal to 1"),
        ({"preload": "disk"}, "'gpu' or 'ram'"),
        ({"lisense": "MIT"}, "did you mean licence"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_named_with_what_was_expected(changed: dict[str, Any], expected: str) -> None:
    (problem,) = wrong(**changed)
    assert expected in problem
    assert next(iter(changed)) in problem or "models[0]" in problem


def test_two_models_that_a_workflow_could_not_tell_apart_are_refused() -> None:
    other = {**GOOD, "name": "b.safetensors", "aliases": ["a.safetensors"]}
    assert problems_of(json.dumps({"models": [GOOD, other]})) == [
        "line 1, models[1].aliases[0]: 'a.safetensors' is taken by models[0] in the same kind of folder"
    ]


@pytest.mark.parametrize(
    "text",
    ["https://me:PASSWORD@host/a", "https://host/a?token=PASSWORD", "ftp://host/a?sig=PASSWORD"],
)
def test_what_may_be_secret_in_a_source_is_not_repeated(text: str) -> None:
    assert not any("PASSWORD" in problem for problem in wrong(sources=[text], sha256=text))


@pytest.mark.parametrize(
    "text", ["a: [\nb: 1", "models: []\nmodels: []", "\tx: 1", "- 1", "models: 3", "a: *b", "models: &a [*a]"]
)
def test_what_is_no_manifest_at_all_is_told_with_its_line(text: str) -> None:
    assert problems_of(text)[0].startswith("line ")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SettingsInvalid, match=r"MODELS_MANIFEST is '/no/such\.yaml'; there is no such file"):
        load_manifest(Path("/no/such.yaml"))


def test_a_model_is_found_by_its_name_and_its_aliases_in_every_folder_of_its_kind() -> None:
    manifest = manifest_of({**GOOD, "folder": "unet", "aliases": ["flux"]})
    for kind in ("unet", "diffusion_models"):
        assert manifest.find(kind, "flux") is manifest.find(kind, "a.safetensors") is manifest.models[0]
    assert manifest.find("checkpoints", "a.safetensors") is None
    assert manifest.models[0].path == "unet/a.safetensors"


def test_a_deployment_takes_what_names_it_and_what_names_none() -> None:
    manifest = manifest_of({**GOOD, "deployments": ["one"]}, {**GOOD, "name": "b.safetensors"})
    assert [model.name for model in manifest.of("one").models] == ["a.safetensors", "b.safetensors"]
    assert [model.name for model in manifest.of("two").models] == ["b.safetensors"]


def test_a_folder_of_custom_nodes_is_taken_where_it_is_declared() -> None:
    model = {**GOOD, "folder": "ipadapter", "name": "a.onnx"}
    assert manifest_of(model, extra_folders=["ipadapter"]).models[0].kind == "ipadapter"


def test_a_hash_is_read_in_either_case() -> None:
    assert manifest_of({**GOOD, "sha256": HASH.upper()}).models[0].sha256 == HASH
