"""The client against a running deployment, over a real socket; by our own API and by RunPod's."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from comfyui_serverless import AsyncClient, Client, backends
from comfyui_serverless.errors import (
    ApiError,
    ClientError,
    Conflict,
    GraphRejected,
    NotFound,
    TransportError,
    Unauthenticated,
    WaitTimeout,
)
from PIL import Image


@pytest.fixture(params=["http", "runpod"])
def client(request: pytest.FixtureRequest, deployment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    if request.param == "http":
        opened = Client(deployment)
    else:
        monkeypatch.setattr("comfyui_serverless.settings.RUNPOD_URL", f"{deployment}/v2")
        opened = Client(runpod="desk", token="none-is-needed")
    with opened:
        yield opened


@pytest.fixture
def desk(deployment: str) -> Iterator[Client]:
    with Client(deployment) as client:
        yield client


def png(size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((size, size), 100).convert("RGB").save(file, "png")
    return file.getvalue()


LOAD = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


def test_a_workflow_becomes_a_saved_picture(client: Client, workflow: dict[str, Any], tmp_path: Path) -> None:
    result = client.submit(workflow, {"The Colour.color": 0x00FF00}).result()
    path = result.images[0].save(tmp_path)
    assert path.name == result.images[0].filename
    assert result.images[0].pil().getpixel((0, 0)) == Image.open(path).getpixel((0, 0)) == (0, 255, 0)


def test_a_picture_runs_again_as_the_workflow_that_made_it(
    desk: Client, workflow: dict[str, Any], tmp_path: Path
) -> None:
    path = desk.run(workflow, {"The Colour.color": 0x00FF00}).images[0].save(tmp_path)
    again = desk.run(path, {"The Colour.width": 24})
    assert again.images[0].pil().width == 24


def test_a_workflow_is_read_from_its_file(client: Client, workflow: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "portrait.json"
    path.write_text(json.dumps(workflow))
    assert client.run(path, {"1.width": 32}).images[0].width == 32


def test_events_end_with_the_end(client: Client, workflow: dict[str, Any]) -> None:
    states = list(client.submit(workflow, {"color": 1}).events())
    assert states[-1].status == "completed"
    assert all(before != after for before, after in itertools.pairwise(states))


def test_map_answers_in_order(client: Client, workflow: dict[str, Any]) -> None:
    colors = [0xFF0000, 0x00FF00, 0x0000FF]
    results = client.map(workflow, [{"color": color} for color in colors], concurrency=2)
    pixels = [result.images[0].pil().getpixel((0, 0)) for result in results]
    assert pixels == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


@pytest.mark.parametrize("size", [8, 256], ids=["inline", "uploaded"])
def test_a_local_picture_is_what_the_graph_loads(client: Client, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(size))
    picture = client.run(LOAD, images={"mine.png": path}).images[0].pil()
    assert picture.tobytes() == Image.open(path).tobytes()


def test_a_bad_graph_raises_with_its_problems(client: Client) -> None:
    with pytest.raises(GraphRejected) as caught:
        client.run({"1": {"class_type": "SaveImage", "inputs": {}}})
    assert caught.value.code == "graph_rejected"
    assert "1" in caught.value.node_errors


def test_a_job_is_found_again_by_its_id(client: Client, workflow: dict[str, Any]) -> None:
    job = client.submit(workflow, {"color": 2})
    again = client.job(job.id)
    assert [image.sha256 for image in again.result().images] == [image.sha256 for image in job.result().images]
    assert again.refresh().has_ended


def test_a_job_that_is_not_there_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        client.job("nothing")


def test_the_same_job_id_with_another_request_is_a_conflict(client: Client, workflow: dict[str, Any]) -> None:
    job_id = f"taken-{type(client._backend).__name__}"
    client.run(workflow, {"color": 3}, job_id=job_id)
    with pytest.raises(Conflict):
        client.submit(workflow, {"color": 4}, job_id=job_id)


def test_a_link_that_has_ended_is_signed_anew(client: Client, workflow: dict[str, Any]) -> None:
    output = client.submit(workflow, {"color": 5}).result().images[0]
    ended = output.__class__(**{**vars(output), "url": str(output.url).replace("signature=", "signature=x")})
    assert ended.bytes() == output.bytes()


def test_time_that_runs_out_leaves_the_job_alone(desk: Client, workflow: dict[str, Any]) -> None:
    job = desk.submit(workflow, {"color": 6})
    if not job.state.has_ended:
        with pytest.raises(WaitTimeout, match=job.id):
            job.result(timeout=0)
    assert job.result().images


def test_a_cancelled_job_says_so(client: Client, workflow: dict[str, Any]) -> None:
    job = client.submit(workflow, {"color": 7})
    assert job.cancel().status in ("running", "cancelled", "completed")
    list(job.events())
    assert job.status in ("cancelled", "completed")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"The Color.color": 1}, "nearest: The Colour"),
        ({"1.widht": 1}, "node 1 has no input 'widht'; nearest: width"),
        ({"colr": 1}, "no node has such a value; nearest: color"),
        ({"seed": 1}, "no node has such a value"),
    ],
)
def test_an_override_that_fits_nothing_is_refused_before_anything_is_sent(
    workflow: dict[str, Any], overrides: dict[str, Any], said: str
) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError("something was sent")

    client = Client("http://nobody", transport=httpx.MockTransport(nobody))
    with client, pytest.raises(ClientError, match=said):
        client.submit(workflow, overrides)


def test_a_lost_answer_does_not_run_the_job_twice(deployment: str, workflow: dict[str, Any]) -> None:
    through = httpx.HTTPTransport()
    lost: list[str] = []

    class Losing(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = through.handle_request(request)
            if request.method == "POST" and not lost:
                lost.append(json.loads(request.content)["job_id"])
                response.read()
                raise httpx.ReadTimeout("the answer was lost")
            return response

        def close(self) -> None:
            through.close()

    with Client(deployment, transport=Losing()) as client:
        job = client.submit(workflow, {"color": 8}, user_id="losing")
        assert job.result().job_id == lost[0]
        assert len(client.jobs(user_id="losing")["jobs"]) == 1


def test_a_deployment_that_is_busy_is_asked_again_when_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    answers = iter([httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(200, json={"jobs": []})])
    with Client("http://busy", transport=httpx.MockTransport(lambda _: next(answers))) as client:
        assert client.jobs() == {"jobs": []}
    assert pauses == [3.0]


def test_who_cannot_be_reached_is_named_after_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = Client("http://away", transport=httpx.MockTransport(away))
    with client, pytest.raises(TransportError, match=r"GET /workflows: refused \(at away\)"):
        client.jobs()
    assert len(pauses) == 5


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(401, json={"detail": "the key is wrong", "code": "unauthenticated"}), Unauthenticated),
        (httpx.Response(400, text="no"), ApiError),
        (httpx.Response(200, text="<html>"), TransportError),
    ],
    ids=["problem", "text", "another server"],
)
def test_a_refusal_is_told_in_the_deployments_words(response: httpx.Response, error: type[Exception]) -> None:
    with Client("http://it", transport=httpx.MockTransport(lambda _: response)) as client, pytest.raises(error):
        client.jobs()


def test_a_key_is_sent_to_the_deployment_and_not_to_a_link() -> None:
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("authorization")
        if request.url.host == "bucket":
            return httpx.Response(200, content=b"picture")
        made = {"node_id": "2", "kind": "image", "filename": "a.png", "url": "http://bucket/a.png"}
        state = {"execution_id": "j", "job_id": "j", "status": "completed", "outputs": [made]}
        return httpx.Response(200, json=state)

    with Client("http://it", token="csk_secret", transport=httpx.MockTransport(answer)) as client:
        assert client.run({}).images[0].bytes() == b"picture"
        assert "csk_secret" not in repr(client)
    assert seen == {"it": "Bearer csk_secret", "bucket": None}


def test_the_environment_names_the_deployment(deployment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_SERVERLESS_URL", deployment)
    with Client.from_env() as client:
        assert isinstance(client._backend, backends.HttpBackend)
    monkeypatch.delenv("COMFYUI_SERVERLESS_URL")
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "abc")
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_secret")
    with Client.from_env() as client:
        assert client._backend.base_url == "https://api.runpod.ai/v2/abc"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no deployment is named"),
        ({"url": "desk:8000"}, "expected http://HOST"),
        ({"url": "http://a", "runpod": "b"}, "give one of url, runpod and modal"),
        ({"runpod": "b"}, "RUNPOD_API_KEY is not set"),
    ],
)
def test_a_deployment_that_is_not_named_right_is_refused(
    options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    with pytest.raises(ClientError, match=said):
        Client(**options)


def test_the_asynchronous_client_does_the_same(deployment: str, workflow: dict[str, Any]) -> None:
    async def all_of_it() -> tuple[list[str], bytes, list[int | None]]:
        async with AsyncClient(deployment) as client:
            job = await client.submit(workflow, {"color": 9})
            states = [state.status async for state in job.events()]
            result = await job.result()
            data = await job.download(result.images[0])
            sizes = [made.images[0].width async for made in client.map(workflow, [{"width": 8}, {"width": 24}])]
            assert (await client.job(job.id)).status == "completed"
            assert (await job.cancel()).status == (await job.refresh()).status == "completed"
            with pytest.raises(ClientError, match=r"await job\.download"):
                result.images[0].bytes()
            return states, data, sizes

    states, data, sizes = asyncio.run(all_of_it())
    assert states[-1] == "completed"
    assert Image.open(io.BytesIO(data)).size == (16, 8)
    assert sizes == [8, 24]
