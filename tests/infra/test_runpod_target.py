"""RunPod as a target, against a local server that speaks its REST API v2, faults included."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from runpod_platform import KEY, RunpodPlatform

from handlers.runpod_worker import handle
from infra.deploy.command import main
from infra.deploy.config import DeployConfig, VolumeConfig, WorkersConfig
from infra.deploy.errors import DeployError
from infra.deploy.runpod_api import RunpodApi
from infra.deploy.runpod_plan import endpoint_body
from infra.deploy.runpod_target import RunpodTarget
from infra.deploy.smoke import RGB, SIDE
from runtime.api.dispatch.seal import Seal
from runtime.build import build
from runtime.gpu_thread import GpuThread
from runtime.settings import Settings

GOLDEN = Path(__file__).parent / "golden" / "runpod.txt"
FILE = "image: ghcr.io/you/comfyui-serverless:1.0\nregion: EU-RO-1\n"
CONFIG = DeployConfig(image="ghcr.io/you/comfyui-serverless:1.0", region="EU-RO-1", secrets={"HF_TOKEN": "huggingface"})


def drawn(job_id: str, data: Any) -> Mapping[str, Any]:
    """What a worker answers: the models are there, the picture is the one that was asked for."""
    if "sync_models" in data:
        return {"status": "completed"}
    held = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), RGB).save(held, "PNG")
    return {"status": "completed", "engine": "native", "images": [{"data": base64.b64encode(held.getvalue()).decode()}]}


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunpodPlatform]:
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    platform = RunpodPlatform(drawn)
    yield platform
    platform.close()


def target(platform: RunpodPlatform, **fields: Any) -> RunpodTarget:
    config = DeployConfig.model_validate({**CONFIG.model_dump(), **fields})
    return RunpodTarget(config, api=RunpodApi(url=platform.url, pause=lambda seconds: None))


def applied(platform: RunpodPlatform, **fields: Any) -> list[str]:
    said: list[str] = []
    target(platform, **fields).apply(said.append)
    return said


def test_the_plan_is_the_golden_one_and_needs_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    (tmp_path / "deploy.yaml").write_text(FILE)
    assert main(["runpod", "--plan"]) == 0
    shown = capsys.readouterr()
    assert shown.out == GOLDEN.read_text()
    assert "RUNPOD_API_KEY is not set: RunPod's keys are made at https://console.runpod.io" in shown.err


def test_a_deployment_is_made_and_ends_with_a_picture_that_was_checked(platform: RunpodPlatform) -> None:
    said = applied(platform)
    assert platform.writes == ["POST /network-volumes", "POST /serverless"]
    (endpoint,) = platform.endpoints.values()
    assert endpoint["networkVolumes"] == [*platform.volumes]
    assert endpoint["env"]["HF_TOKEN"] == "{{ RUNPOD_SECRET_huggingface }}"
    assert endpoint["gpu"]["pools"] == ["ADA_48_PRO", "ADA_24", "AMPERE_24"]
    assert endpoint["workers"] == {"min": 0, "max": 3, "idleTimeout": 60}
    assert "smoke job completed on the native engine, its picture is right" in said
    assert said[-1].endswith("RUNPOD_ENDPOINT_ID=ep2")


def test_a_second_deploy_changes_nothing(platform: RunpodPlatform) -> None:
    applied(platform)
    before = list(platform.writes)
    assert target(platform).plan().changed == ()
    applied(platform)
    assert platform.writes == before


@pytest.mark.parametrize("call", ["POST /network-volumes", "POST /serverless", "POST /jobs/ep2/run"])
@pytest.mark.parametrize("fault", [500, 422, "lost"])
def test_what_a_fault_left_half_made_the_next_run_finishes(
    platform: RunpodPlatform, call: str, fault: int | str
) -> None:
    platform.faults = [(call, fault)]
    with pytest.raises(DeployError, match="RunPod"):
        applied(platform)
    applied(platform)
    assert (len(platform.volumes), len(platform.endpoints)) == (1, 1)
    assert target(platform).plan().changed == ()


def test_too_many_calls_and_faults_of_reads_are_waited_out(platform: RunpodPlatform) -> None:
    platform.faults = [("GET /network-volumes", 429), ("GET /serverless", 503), ("POST /serverless", 429)]
    applied(platform)
    assert platform.faults == []
    assert len(platform.endpoints) == 1


def test_an_endpoint_that_is_there_twice_loses_the_younger(platform: RunpodPlatform) -> None:
    applied(platform)
    (older,) = platform.endpoints.values()
    platform.endpoints["ep9"] = {**older, "id": "ep9", "createdAt": "2026-11-24T09:00:00Z"}
    assert [step.action for step in target(platform).plan().changed] == ["delete"]
    applied(platform)
    assert list(platform.endpoints) == [older["id"]]


def test_two_volumes_of_one_name_are_left_to_a_person(platform: RunpodPlatform) -> None:
    applied(platform)
    platform.volumes["vol9"] = {**platform.volumes["vol1"], "id": "vol9"}
    with pytest.raises(DeployError, match="vol1 and vol9 are both called comfyui-production-models"):
        target(platform).plan()


def test_drift_is_shown_and_mended(platform: RunpodPlatform) -> None:
    applied(platform)
    (endpoint,) = platform.endpoints.values()
    endpoint["workers"] = {"min": 2, "max": 3, "idleTimeout": 60}
    endpoint["env"] = {**endpoint["env"], "EXTRA": "1"}
    (step,) = target(platform).plan().changed
    assert (step.action, step.where) == ("update", ("env.EXTRA", "workers"))
    applied(platform)
    assert platform.writes[-1] == f"PATCH /serverless/{endpoint['id']}"
    assert target(platform).plan().changed == ()


def test_a_volume_grows(platform: RunpodPlatform) -> None:
    applied(platform)
    applied(platform, volume=VolumeConfig(size_gb=80))
    assert [volume["size"] for volume in platform.volumes.values()] == [80]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"volume": VolumeConfig(size_gb=10)}, "has 50 GB, and volume.size_gb is 10: it only grows"),
        ({"region": "US-TX-3"}, "lies in EU-RO-1, and region is US-TX-3: a volume does not move"),
        ({"region": None}, "region is not set in deploy.yaml"),
        ({"image": None}, "image is not set, and RunPod starts workers from one"),
        ({"gpus": ("t4",)}, "gpus is t4, of which runpod has none"),
    ],
    ids=["shrink", "move", "no region", "no image", "gpu"],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    platform: RunpodPlatform, fields: dict[str, Any], said: str
) -> None:
    applied(platform)
    before = list(platform.writes)
    with pytest.raises(DeployError, match=said):
        applied(platform, **fields)
    assert platform.writes == before


def test_several_jobs_a_worker_scale_by_their_number(platform: RunpodPlatform) -> None:
    applied(platform, workers=WorkersConfig(concurrency=4))
    (endpoint,) = platform.endpoints.values()
    assert endpoint["scaling"] == {"type": "REQUEST_COUNT", "requestCount": 4}


def test_a_key_that_is_refused_is_named_with_where_to_get_one(
    platform: RunpodPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "wrong")
    with pytest.raises(DeployError, match=r"RUNPOD_API_KEY.*https://console\.runpod\.io/user/settings") as raised:
        applied(platform)
    assert "wrong" not in str(raised.value)


def test_a_wrong_picture_fails_the_deployment(platform: RunpodPlatform) -> None:
    platform._run = lambda job_id, data: {"status": "completed", "engine": "native", "images": []}
    with pytest.raises(DeployError, match="completed without a picture"):
        applied(platform)


def test_models_that_were_not_all_brought_fail_the_deployment(platform: RunpodPlatform) -> None:
    platform._run = lambda job_id, data: {"error": "sync_failed: models sync ended with 1"}
    with pytest.raises(DeployError, match=r"not all brought to the volume: .*ended with 1"):
        applied(platform)


def test_status_and_logs_show_workers_and_jobs(platform: RunpodPlatform) -> None:
    applied(platform)
    shown = list(target(platform).status())
    assert shown[:2] == ["worker w1: RUNNING", "jobs: 0 inQueue, 2 completed"]
    assert list(target(platform).logs(follow=False)) == ["w1 job started"]


def test_taking_it_down_leaves_the_models(platform: RunpodPlatform) -> None:
    applied(platform)
    assert "volume comfyui-production-models stays" in target(platform).doomed(delete_data=False)
    target(platform).destroy(delete_data=False)
    assert (len(platform.endpoints), len(platform.volumes)) == (0, 1)
    target(platform).destroy(delete_data=True)
    assert platform.volumes == {}
    with pytest.raises(DeployError, match="`comfyui-serverless deploy runpod` makes it"):
        target(platform).doomed(delete_data=False)


def test_the_real_worker_does_what_a_deployment_asks_of_it(platform: RunpodPlatform, tmp_path: Path) -> None:
    manifest = tmp_path / "models_manifest.yaml"
    manifest.write_text("version: 1\nmodels: []\n")
    folders = {"MODELS_PATH": str(tmp_path / "models"), "MODELS_MANIFEST": str(manifest), "DEVICE": "cpu"}
    settings = Settings.from_env({**folders, "STORAGE_BASE_PATH": str(tmp_path / "data")})
    with GpuThread(partial(build, settings)) as gpu, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.items():
            patch.setenv(name, value)
        worker = partial(handle, gpu=gpu, seal=Seal(None, tenant="default"), refresh_worker=False)
        platform._run = lambda job_id, data: asyncio.run(worker({"id": job_id, "input": data}))
        assert "smoke job completed on the native engine, its picture is right" in applied(platform)


def test_the_body_of_an_endpoint_names_no_secrets_value() -> None:
    assert endpoint_body(CONFIG, "vol1")["env"]["HF_TOKEN"].startswith("{{ RUNPOD_SECRET_")
