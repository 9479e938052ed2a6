from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from jsonschema.validators import validator_for

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
COMFYUI_API = yaml.safe_load((FOLDER / "comfyui-api.yaml").read_text())
GPU = yaml.safe_load((FOLDER / "gpu.yaml").read_text())
SCHEMA = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
VALIDATOR = validator_for(SCHEMA)(SCHEMA)


def of_profile(profile: str) -> dict[str, Any]:
    return {name: service for name, service in COMPOSE["services"].items() if service["profiles"] == [profile]}


@pytest.mark.parametrize("document", [COMPOSE, GPU, COMFYUI_API], ids=["compose.yaml", "gpu.yaml", "comfyui-api.yaml"])
def test_it_follows_the_compose_specification(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)


def test_the_specification_refuses_a_misspelt_field() -> None:
    wrong = {"services": {"worker": {"image": "a", "comand": ["b"]}}}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        VALIDATOR.validate(wrong)


def test_each_profile_starts_what_it_needs_and_nothing_else() -> None:
    assert set(of_profile("server")) == {"nginx", "worker", "sweeper", "certificate"}
    assert set(of_profile("dev")) == {"dev"}
    assert set(of_profile("aws")) == {"moto", "aws-setup", "aws-api", "aws-worker"}
    assert sum(len(service["profiles"]) for service in COMPOSE["services"].values()) == len(COMPOSE["services"])


@pytest.mark.parametrize("profile", ["server", "dev", "aws"])
def test_what_a_service_waits_for_is_of_its_profile(profile: str) -> None:
    services = of_profile(profile)
    assert {name for service in services.values() for name in service.get("depends_on", {})} <= set(services)


def test_jobs_accounts_and_pictures_of_the_server_lie_in_one_named_volume() -> None:
    server = of_profile("server")
    assert "data:/data" in server["worker"]["volumes"]
    assert "data:/data" in server["sweeper"]["volumes"]
    assert "data" in COMPOSE["volumes"]


def test_only_nginx_is_reached_from_elsewhere() -> None:
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert set(ports) == {"nginx", "dev", "moto", "aws-api"}
    others = [port for name, found in ports.items() if name != "nginx" for port in found]
    assert all(port.startswith("127.0.0.1:") for port in others)


def test_comfyuis_own_api_is_reached_by_nginx_and_listened_for_by_what_is_behind_it() -> None:
    nginx, worker = COMFYUI_API["services"]["nginx"], COMFYUI_API["services"]["worker"]
    assert (nginx["ports"], worker["environment"]) == (["${COMFYUI_PORT:-8188}:8188"], {"COMFYUI_PORT": "8188"})
    assert set(COMFYUI_API["services"]) <= set(COMPOSE["services"])


def test_moto_is_the_release_that_the_tests_use() -> None:
    pinned = re.search(r"^moto==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert COMPOSE["services"]["moto"]["image"] == f"motoserver/moto:{pinned[1]}"


def test_the_profile_on_moto_says_that_its_data_is_lost() -> None:
    assert "LOST" in "".join(of_profile("aws")["aws-setup"]["command"])


def test_the_gpu_goes_to_every_service_that_runs_jobs() -> None:
    running = {name for name, service in COMPOSE["services"].items() if "/models" in str(service.get("volumes"))}
    assert set(GPU["services"]) == running


def test_a_job_has_time_to_be_handed_back() -> None:
    stopping = {name: COMPOSE["services"][name]["stop_grace_period"] for name in GPU["services"]}
    assert set(stopping.values()) == {"60s"}
