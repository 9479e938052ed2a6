"""Large inputs, straight to a deployment's bucket."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import httpx
import pytest
from comfyui_serverless import Client, backends
from comfyui_serverless.errors import JobError
from PIL import Image

LOAD = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


@pytest.fixture
def picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((400, 300), 100).convert("RGB").save(file, "png")
    return file.getvalue()


def announced(data: bytes) -> dict[str, Any]:
    return {"filename": "a.png", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_large_input_goes_straight_to_the_bucket_once(
    bucket: tuple[str, str], picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "DIRECT_BYTES", 10_000)
    sent: list[str] = []

    class Watched(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(f"{request.method} {str(request.url).partition('?')[0]}")
            return super().handle_request(request)

    address, store = bucket
    with Client(address, transport=Watched()) as client:
        results = [client.run(LOAD, images={"mine.png": picture}) for _ in range(2)]
        pixels = {Image.open(io.BytesIO(result.images[0].bytes())).tobytes() for result in results}
    assert pixels == {Image.open(io.BytesIO(picture)).tobytes()}
    assert [call for call in sent if call.startswith(f"POST {store}")] == [f"POST {store}/"]
    assert not any(call.endswith("/files/upload") for call in sent)


def test_where_files_lie_in_no_bucket_they_are_uploaded_to_the_deployment(
    deployment: str, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "DIRECT_BYTES", 10_000)
    assert httpx.post(f"{deployment}/files/presign", json=announced(picture)).status_code == 404
    with Client(deployment) as client:
        assert client.run(LOAD, images={"mine.png": picture}).images


def test_another_file_than_was_announced_is_no_input(bucket: tuple[str, str], picture: bytes) -> None:
    told = httpx.post(f"{bucket[0]}/files/presign", json=announced(picture)).json()
    other = picture[:-1] + b"?"
    form = told["upload"]
    assert httpx.post(form["url"], data=form["fields"], files={"file": ("a.png", other)}).status_code == 204
    with Client(bucket[0]) as client, pytest.raises(JobError, match="its SHA-256 is another"):
        client.run(LOAD, images={"mine.png": told["image"]})


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"filename": "a.exe"}, 422), ({"size_bytes": 10**9}, 413), ({"sha256": "A" * 64}, 422)],
    ids=["suffix", "size", "sum"],
)
def test_what_may_not_be_uploaded_gets_no_form(deployment: str, changes: dict[str, Any], status: int) -> None:
    answer = httpx.post(f"{deployment}/files/presign", json={**announced(b"a"), **changes})
    assert answer.status_code == status
