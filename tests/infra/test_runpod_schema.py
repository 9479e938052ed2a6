"""What we send to RunPod, held against what its API takes."""

from __future__ import annotations

from typing import Any

import pytest
from runpod_schema import problems

from infra.deploy.config import DeployConfig, VolumeConfig, WorkersConfig
from infra.deploy.gpus import GPUS, names_on
from infra.deploy.runpod_plan import endpoint_body, patch_of, volume_body

CONFIG = DeployConfig(image="ghcr.io/you/comfyui-serverless:1.0", region="EU-RO-1", secrets={"HF_TOKEN": "huggingface"})
POOLS = {
    "AMPERE_16", "AMPERE_24", "AMPERE_48", "AMPERE_80", "ADA_24", "ADA_32_PRO", "ADA_48_PRO", "ADA_80_PRO",
    "BLACKWELL_96", "BLACKWELL_180", "HOPPER_141",
}  # fmt: skip
"""Of runpod/docs at a900806, references/gpu-types.mdx and flash/configuration/gpu-types.mdx."""


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"workers": WorkersConfig(min=1, max=1000, idle_timeout_s=3600)},
        {"workers": WorkersConfig(concurrency=100)},
        {"runpod": {"flash_boot": False, "container_disk_gb": 500}},
        {"env": {"MAX_TIMEOUT_S": "12.5"}, "gpus": ("b200", "h200", "l4")},
    ],
    ids=lambda fields: ",".join(fields) or "defaults",
)
def test_an_endpoint_is_made_and_changed_as_the_api_takes_it(fields: dict[str, Any]) -> None:
    body = endpoint_body(DeployConfig.model_validate({**CONFIG.model_dump(), **fields}), "vol1")
    assert list(problems("POST serverless", body)) == []
    changes = patch_of(body, tuple(name for name in body if name != "type"))
    assert list(problems("PATCH serverless", changes)) == []


@pytest.mark.parametrize("size_gb", [10, 4000])
def test_a_volume_is_made_as_the_api_takes_it(size_gb: int) -> None:
    body = volume_body(CONFIG.model_copy(update={"volume": VolumeConfig(size_gb=size_gb)}))
    assert list(problems("POST network-volumes", body)) == []
    assert list(problems("PATCH network-volumes", {"size": body["size"]})) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gpu", {"count": 1}),
        ("gpu", {"pools": [], "count": 1}),
        ("gpuIds", "ADA_24"),
        ("scaling", {"type": "QUEUE_DELAY", "queueDelay": 0}),
        ("scaling", {"type": "REQUEST_COUNT", "queueDelay": 4}),
        ("workers", {"min": 0, "max": 3, "idleTimeout": 3601}),
        ("workersMax", 3),
        ("flashboot", True),
        ("timeout", 1.5),
        ("disk", 0),
        ("env", {"MAX_NODES": 500}),
        ("networkVolumes", "vol1"),
        ("type", "queue"),
    ],
    ids=str,
)
def test_another_value_would_be_seen(name: str, value: object) -> None:
    assert list(problems("POST serverless", {**endpoint_body(CONFIG, "vol1"), name: value}))


@pytest.mark.parametrize("name", ["name", "type", "scaling", "image"])
def test_a_field_that_is_left_out_would_be_seen(name: str) -> None:
    body = endpoint_body(CONFIG, "vol1")
    del body[name]
    assert list(problems("POST serverless", body))


def test_every_pool_of_gpus_is_one_that_there_is() -> None:
    assert set(names_on("runpod", list(GPUS))) <= POOLS
