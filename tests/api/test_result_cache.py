from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from runtime.inputs import is_known
from runtime.request import JobRequest

OpenApi = Callable[..., TestClient]
Workflow = Callable[..., dict[str, Any]]
SECRET_KEY = "0123456789abcdef0123456789abcdef"

LOAD = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


@pytest.fixture(scope="module")
def cached(open_api: OpenApi) -> TestClient:
    return open_api(RESULT_CACHE_TTL_S="600")


def run(api: TestClient, workflow: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> Any:
    answer = api.post("/workflows/execute?wait=60", json={"workflow": workflow, **more}, headers=headers)
    assert answer.json()["status"] == "completed", answer.text
    return answer.json()


def came_from(result: dict[str, Any]) -> str | None:
    """The job whose outputs a result has, where they are an earlier one's."""
    said = [warning for warning in result["warnings"] if "whose request was the same" in warning]
    return said[0].split()[6].rstrip(",") if said else None


def png(color: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def test_the_same_request_gets_the_earlier_outputs_with_links_of_its_own(
    cached: TestClient, workflow: Workflow
) -> None:
    first, second = run(cached, workflow(1)), run(cached, workflow(1))
    assert came_from(first) is None
    assert came_from(second) == first["execution_id"]
    assert second["outputs"][0]["key"] == first["outputs"][0]["key"]
    assert cached.get(second["outputs"][0]["url"]).status_code == 200
    assert cached.get(f"/workflows/{second['execution_id']}").json()["status"] == "completed"


def test_another_request_runs(cached: TestClient, workflow: Workflow) -> None:
    run(cached, workflow(2))
    for more in ({"overrides": {"1.color": 3}}, {"output": {"format": "jpeg"}}, {"extra_pnginfo": {"a": 1}}):
        assert came_from(run(cached, workflow(2), **more)) is None


def test_inputs_are_compared_by_their_content(cached: TestClient) -> None:
    images = [[{"name": "mine.png", "image": png(color)}] for color in ("red", "red", "blue")]
    first, same, other = (run(cached, LOAD, images=each) for each in images)
    assert came_from(same) == first["execution_id"]
    assert came_from(other) is None


@pytest.mark.parametrize(
    "address", ["https://a.example/a.png", "   HTTPS://a.example/a.png", "\n\n\ns3://bucket/a.png"]
)
def test_an_address_is_of_unknown_content_however_it_is_written(address: str) -> None:
    request, _ = JobRequest.parse({"workflow": LOAD, "images": [{"name": "mine.png", "image": address}]})
    assert not is_known(request.images[0])


def test_an_id_that_names_another_request_now_gives_none_of_its_outputs(cached: TestClient, workflow: Workflow) -> None:
    run(cached, workflow(10), job_id="again")
    cached.delete("/workflows/again")
    run(cached, workflow(11), job_id="again")
    assert came_from(run(cached, workflow(10))) is None


def test_outputs_whose_files_were_deleted_are_made_anew(cached: TestClient, workflow: Workflow) -> None:
    first = run(cached, workflow(12))
    cached.delete(f"/workflows/{first['execution_id']}/files")
    second = run(cached, workflow(12))
    assert came_from(second) is None
    assert cached.get(second["outputs"][0]["url"]).status_code == 200


@pytest.mark.parametrize(
    ("folder", "text"), [("loras", "style.safetensors"), ("embeddings", "a cat, embedding:style, sharp")]
)
def test_a_model_whose_file_has_changed_is_another(
    open_api: OpenApi, tmp_path: Path, workflow: Workflow, folder: str, text: str
) -> None:
    model = tmp_path / folder / "style.safetensors"
    model.parent.mkdir()
    model.write_bytes(b"1")
    api = open_api(RESULT_CACHE_TTL_S="600", MODELS_PATH=str(tmp_path))
    graph = workflow(4)
    graph["2"]["inputs"]["filename_prefix"] = text
    first = run(api, graph)
    assert came_from(run(api, graph)) == first["execution_id"]
    os.utime(model, (1, 1))
    assert came_from(run(api, graph)) is None


def test_no_account_gets_anothers_outputs(open_api: OpenApi, workflow: Workflow) -> None:
    api = open_api(RESULT_CACHE_TTL_S="600", SECRET_KEY=SECRET_KEY)
    for name in ("ada", "eve"):
        account = {"email": f"{name}@example.org", "password": "correct horse battery"}
        token = api.post("/auth/register", json=account).json()["access_token"]
        assert came_from(run(api, workflow(5), {"Authorization": f"Bearer {token}"})) is None


def test_without_a_time_every_request_runs(open_api: OpenApi, workflow: Workflow) -> None:
    api = open_api()
    assert [came_from(run(api, workflow(6))) for _ in range(2)] == [None, None]
