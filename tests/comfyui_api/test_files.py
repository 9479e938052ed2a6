from __future__ import annotations

import io
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def png(color: tuple[int, ...], size: tuple[int, int] = (8, 8), **text: str) -> bytes:
    """A picture of one colour, RGB or RGBA, with text chunks."""
    info = PngInfo()
    for name, value in text.items():
        info.add_text(name, value)
    buffer = io.BytesIO()
    Image.new("RGB" if len(color) == 3 else "RGBA", size, color).save(buffer, "png", pnginfo=info)
    return buffer.getvalue()


def pixel(data: bytes) -> Any:
    return Image.open(io.BytesIO(data)).getpixel((0, 0))


@pytest.fixture
def upload(address: str) -> Callable[..., Any]:
    """`upload(name, data, field=value, ...)`: what uploading a picture answers; `path` for a mask."""

    def send(name: str, data: bytes, path: str = "/upload/image", **fields: str) -> Any:
        return httpx.post(address + path, files={"image": (name, data)}, data=fields)

    return send


def test_an_upload_is_seen_listed_and_loaded(comfy: Any, upload: Any) -> None:
    answer = upload("seen.png", png((255, 0, 0)), subfolder="sub").json()
    assert answer == {"name": "seen.png", "subfolder": "sub", "type": "input"}
    assert pixel(comfy.view({"filename": "seen.png", "subfolder": "sub", "type": "input"})) == (255, 0, 0)
    values = comfy.ask("/object_info/LoadImage")["LoadImage"]["input"]["required"]["image"][0]
    assert "sub/seen.png" in values
    for value in ("sub/seen.png", "sub/seen.png [input]"):
        graph = {
            "1": {"class_type": "LoadImage", "inputs": {"image": value}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        }
        id, _ = comfy.run(graph)
        (saved,) = comfy.ask(f"/history/{id}")[id]["outputs"]["2"]["images"]
        assert pixel(comfy.view(saved)) == (255, 0, 0)


def test_an_output_is_an_input_of_a_later_prompt(comfy: Any, prompt: Callable[..., Any]) -> None:
    first, _ = comfy.run(prompt(0x0000FF))
    (saved,) = comfy.ask(f"/history/{first}")[first]["outputs"]["2"]["images"]
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": f"{saved['subfolder']}/{saved['filename']} [output]"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    second, _ = comfy.run(graph)
    (loaded,) = comfy.ask(f"/history/{second}")[second]["outputs"]["2"]["images"]
    assert pixel(comfy.view(loaded)) == (0, 0, 255)


def test_a_name_that_is_taken_gets_a_number_unless_it_shall_be_overwritten(comfy: Any, upload: Any) -> None:
    red, blue = png((255, 0, 0)), png((0, 0, 255))
    names = [upload("taken.png", data).json()["name"] for data in (red, red, blue)]
    assert names == ["taken.png", "taken.png", "taken (1).png"]
    assert upload("taken.png", blue, overwrite="true").json()["name"] == "taken.png"
    assert pixel(comfy.view({"filename": "taken.png", "type": "input"})) == (0, 0, 255)


def test_folders_are_apart(comfy: Any, upload: Any) -> None:
    upload("apart.png", png((1, 2, 3)), type="temp")
    assert pixel(comfy.view({"filename": "apart.png [temp]"})) == (1, 2, 3)
    assert httpx.get(f"{comfy.address}/view?filename=apart.png&type=input").status_code == 404


@pytest.mark.parametrize("name", ["../a.png", "a\\b.png", "/a.png", ""])
def test_a_name_that_leaves_its_folder_is_refused(upload: Any, name: str) -> None:
    assert upload(name, png((0, 0, 0))).status_code == 400


@pytest.mark.parametrize("fields", [{"subfolder": "../x"}, {"subfolder": "a/../../x"}, {"type": "models"}])
def test_a_folder_that_is_none_is_refused(upload: Any, fields: dict[str, str]) -> None:
    assert upload("a.png", png((0, 0, 0)), **fields).status_code == 400


def test_a_mask_gives_its_alpha_to_the_original_which_keeps_its_text(comfy: Any, upload: Any) -> None:
    upload("original.png", png((10, 20, 30), prompt="{}"))
    reference = json.dumps({"filename": "original.png", "type": "input", "subfolder": ""})
    mask = png((0, 0, 0, 128), (4, 4))
    kept = upload("masked.png", mask, "/upload/mask", original_ref=reference, subfolder="clipspace").json()
    data = comfy.view({"filename": kept["name"], "subfolder": "clipspace", "type": "input"})
    assert pixel(data) == (10, 20, 30, 128)
    assert Image.open(io.BytesIO(data)).text == {"prompt": "{}"}
    assert (
        pixel(comfy.view({"filename": "masked.png", "subfolder": "clipspace", "type": "input"}, channel="a"))[3] == 128
    )
    name = {"filename": "masked.png", "subfolder": "clipspace", "type": "input"}
    assert pixel(comfy.view(name, channel="rgb")) == (10, 20, 30)


@pytest.mark.parametrize(
    "reference",
    [
        "x",
        "[]",
        '{"filename": 5}',
        '{"filename": "\\ud800"}',
        '{"filename": "../a"}',
        '{"filename": "none.png", "type": "input"}',
    ],
)
def test_a_mask_of_nothing_is_refused(upload: Any, reference: str) -> None:
    assert upload("m.png", png((0, 0, 0, 1)), "/upload/mask", original_ref=reference).status_code in (400, 404)


@pytest.mark.parametrize(
    ("asked", "format"),
    [("webp;50", "WEBP"), ("jpeg", "JPEG"), ("jpeg;1000", "JPEG"), ("gif", "WEBP"), ("webp;x", "WEBP")],
)
def test_a_preview_is_smaller_and_of_the_format_that_is_asked_for(
    comfy: Any, upload: Any, asked: str, format: str
) -> None:
    upload("previewed.png", png((255, 0, 0, 128)))
    data = comfy.view({"filename": "previewed.png", "type": "input"}, preview=asked)
    assert Image.open(io.BytesIO(data)).format == format


def test_what_is_no_picture_has_no_preview(comfy: Any, upload: Any) -> None:
    upload("broken.png", b"\x89PNG\r\n\x1a\nbroken")
    assert httpx.get(f"{comfy.address}/view?filename=broken.png&type=input&preview=webp").status_code == 400


def test_a_page_that_was_uploaded_runs_nothing(upload: Any, address: str) -> None:
    upload("page.html", b"<script>alert(1)</script>")
    answer = httpx.get(f"{address}/view?filename=page.html&type=input")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_player_gets_the_part_that_it_asks_for(upload: Any, address: str) -> None:
    data = b"OggS" + bytes(range(100))
    upload("sound.ogg", data)
    url = f"{address}/view?filename=sound.ogg&type=input"
    answer = httpx.get(url, headers={"Range": "bytes=4-9"})
    assert (answer.status_code, answer.content) == (206, data[4:10])
    assert answer.headers["content-range"] == f"bytes 4-9/{len(data)}"
    assert httpx.get(url, headers={"Range": "bytes=999-"}).status_code == 416


def test_a_file_over_the_bound_is_refused(open_server: Callable[..., str]) -> None:
    address = open_server(MAX_FILE_SIZE="1000")
    files = {"image": ("big.png", bytes(100_000))}
    assert httpx.post(f"{address}/upload/image", files=files).status_code == 413
    assert httpx.post(f"{address}/api/upload/image", files=files).status_code == 413


def test_saved_workflows_are_kept_listed_moved_and_deleted(comfy: Any) -> None:
    address = f"{comfy.address}/api"
    url = f"{address}/userdata/{urllib.parse.quote('workflows/a b.json', safe='')}"
    assert httpx.get(f"{address}/userdata?dir=workflows").status_code == 404
    assert httpx.post(url, content=b"{}").json() == "workflows/a b.json"
    assert httpx.post(f"{url}?overwrite=false", content=b"[]").status_code == 409
    assert httpx.get(url).content == b"{}"
    full = httpx.get(f"{address}/userdata?dir=workflows&recurse=true&full_info=true").json()
    assert [(file["path"], file["size"]) for file in full] == [("a b.json", 2)]
    to = urllib.parse.quote("workflows/sub/move/b.json", safe="")
    assert httpx.post(f"{url}/move/{to}?full_info=true").json()["path"] == "workflows/sub/move/b.json"
    assert httpx.get(f"{address}/userdata?dir=workflows").json() == []
    split = httpx.get(f"{address}/userdata?dir=workflows/&recurse=true&split=true").json()
    assert split == [["sub/move/b.json", "sub", "move", "b.json"]]
    folders = {entry["path"] for entry in httpx.get(f"{address}/v2/userdata").json() if entry["type"] == "directory"}
    assert folders == {"workflows", "workflows/sub", "workflows/sub/move"}
    assert httpx.delete(f"{address}/userdata/{to}").status_code == 204
    assert httpx.delete(f"{address}/userdata/{to}").status_code == 404


@pytest.mark.parametrize("path", ["..%2Fa", "a%2F..%2F..%2Fb", "%2Fetc%2Fpasswd", "a%5Cb"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_out_of_the_persons_files_is_refused(address: str, method: str, path: str) -> None:
    assert httpx.request(method, f"{address}/userdata/{path}").status_code == 400


def test_settings_are_kept(comfy: Any) -> None:
    comfy.ask("/settings", {"a": 1, "b": {"c": []}})
    comfy.ask("/settings/a", 2)
    assert comfy.ask("/settings") == {"a": 2, "b": {"c": []}}
    assert (comfy.ask("/settings/b"), comfy.ask("/settings/none")) == ({"c": []}, None)
    assert comfy.ask("/settings", [1])[0] == 400
    assert comfy.ask("/settings", {str(number): 0 for number in range(2001)})[0] == 400


@pytest.mark.parametrize("value", [b'"\\ud800"', b"NaN", b'{"\\udfff": 1}'])
def test_a_setting_that_no_answer_could_hold_is_refused(address: str, comfy: Any, value: bytes) -> None:
    assert httpx.post(f"{address}/settings/bad", content=value).status_code == 400
    assert "bad" not in comfy.ask("/settings")


def test_what_the_page_asks_of_users_is_answered(comfy: Any) -> None:
    assert comfy.ask("/users") == {"storage": "server", "migrated": True}
    assert comfy.ask("/users", {"username": "ada"})[0] == 403
