from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from runtime.api.file_types import suffix_by_content

Headers = Callable[..., dict[str, str]]

LOAD = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


def png(color: str = "blue") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "png")
    return file.getvalue()


def uploaded(api: TestClient, headers: dict[str, str], data: bytes, name: str = "a.png") -> Any:
    return api.post("/files/upload", files={"file": (name, data)}, headers=headers)


def run(api: TestClient, headers: dict[str, str], image: str) -> Any:
    request = {"workflow": LOAD, "images": [{"name": "mine.png", "image": image}]}
    return api.post("/workflows/execute?wait=60", json=request, headers=headers)


def test_an_uploaded_picture_is_what_a_job_loads(api: TestClient, login: Headers) -> None:
    answer = uploaded(api, login(), png()).json()
    result = run(api, login(), answer["image"]).json()
    picture = Image.open(io.BytesIO(api.get(result["outputs"][0]["url"]).content))
    assert picture.getpixel((0, 0)) == (0, 0, 255)


def test_the_same_bytes_have_the_same_id_whatever_their_name(api: TestClient, login: Headers) -> None:
    first, second = uploaded(api, login(), png(), "a.png").json(), uploaded(api, login(), png(), "b.exe").json()
    assert first == second
    assert first["content_type"] == "image/png"


def test_another_accounts_upload_is_not_there(api: TestClient, login: Headers) -> None:
    answer = uploaded(api, login(), png("red")).json()
    assert api.get(f"/files/uploads/{answer['file_id']}", headers=login("eve")).status_code == 404
    refused = run(api, login("eve"), answer["image"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "input_rejected")


def test_an_upload_is_given_back_by_a_link(api: TestClient, login: Headers) -> None:
    file_id = uploaded(api, login(), png("green")).json()["file_id"]
    found = api.get(f"/files/uploads/{file_id}", headers=login()).json()
    assert api.get(found["url"]).content == png("green")


def test_what_is_no_medium_is_refused(api: TestClient, login: Headers) -> None:
    answer = uploaded(api, login(), b"#!/bin/sh\n", "a.png")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("size", [200_001, 400_000], ids=["file", "body"])
def test_a_file_over_the_bound_is_refused(api: TestClient, login: Headers, size: int) -> None:
    answer = uploaded(api, login(), png() + bytes(size))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/files/outputs/a.png", "/files/%2e%2e/secret", "/files/a?signature=b&expires=1"])
def test_a_link_that_was_not_signed_is_refused(api: TestClient, path: str) -> None:
    assert api.get(path).status_code == 403


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (png(), ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ".webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", ".wav"),
        (b"\x00\x00\x00\x18ftypmp42", ".mp4"),
        (b"\x00\x00\x00\x18ftypavif", ".avif"),
        (b'\x14\x00\x00\x00\x00\x00\x00\x00{"latent_tensor": {}}', ".latent"),
        (b"GIF89a", ".gif"),
        (b"<svg/>", None),
        (b"PK\x03\x04", None),
        (b"", None),
    ],
)
def test_a_file_is_what_its_content_says(data: bytes, suffix: str | None) -> None:
    assert suffix_by_content(data) == suffix
