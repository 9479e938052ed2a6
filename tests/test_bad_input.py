"""What no client may do to a worker: each bad input is a coded error at once, and the next job is right."""

from __future__ import annotations

import base64
import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from runtime.build import build
from runtime.errors import InvalidRequest
from runtime.request import JobRequest
from runtime.result import Failure, JobResult
from runtime.settings import Settings
from runtime.worker import Worker
from tests.cpu_time import at_once

HUGE = 100_000_000
NAN, INFINITY = float("nan"), float("inf")

Graph = dict[str, Any]


class Bad(NamedTuple):
    """A request, and what its error shall say: its code, and words that name the thing and the value."""

    code: str
    says: tuple[str, ...]
    request: dict[str, Any] | Callable[[], dict[str, Any]]


def bad(code: str, workflow: Any, *says: str, **fields: Any) -> Bad:
    return Bad(code, says, {"workflow": workflow, **fields})


def large(make: Callable[[], dict[str, Any]], *says: str, code: str = "invalid_request") -> Bad:
    """A request that is made when its test runs, and gone after it."""
    return Bad(code, says, make)


def node(class_type: str, **inputs: Any) -> Graph:
    return {"class_type": class_type, "inputs": inputs}


def empty_image(**inputs: Any) -> Graph:
    return node("EmptyImage", **{"width": 16, "height": 8, "batch_size": 1, "color": 0, **inputs})


def saved(prefix: Any = "bad", **nodes: Graph) -> Graph:
    """`nodes`, and the picture of the one called `picture` saved."""
    return {"picture": empty_image(), **nodes, "save": node("SaveImage", images=["picture", 0], filename_prefix=prefix)}


def sampled(checkpoint: Any = "good.safetensors", text: str = "a cat", **inputs: Any) -> Graph:
    """A whole graph from a checkpoint to a picture; `inputs` are the sampler's."""
    numbers = {"seed": 1, "steps": 1, "cfg": 2.0, "denoise": 1.0, "sampler_name": "euler", "scheduler": "normal"}
    links = {"model": ["load", 0], "positive": ["text", 0], "negative": ["text", 0], "latent_image": ["latent", 0]}
    return saved(
        load=node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        text=node("CLIPTextEncode", text=text, clip=["load", 1]),
        latent=node("EmptyLatentImage", width=64, height=64, batch_size=1),
        sample=node("KSampler", **links, **numbers | inputs),
        picture=node("VAEDecode", samples=["sample", 0], vae=["load", 2]),
        number=node("PrimitiveInt", value=10**9),
    )


def loaded(name: Any = "in.png") -> Graph:
    return saved(picture=node("LoadImage", image=name), name=node("PrimitiveString", value="../secret.png"))


def file(data: bytes, name: str = "in.png") -> list[dict[str, str]]:
    return [{"name": name, "image": base64.b64encode(data).decode()}]


def address(text: str) -> list[dict[str, str]]:
    return [{"name": "in.png", "image": text}]


def grown(class_type: str, **inputs: Any) -> Graph:
    """A picture of 512x512 through one node that makes more of it."""
    source = empty_image(width=512, height=512)
    return saved(source=source, picture=node(class_type, image=["source", 0], **inputs))


def chained(first: Graph, link: Callable[[list[Any]], Graph], times: int) -> Graph:
    """`first` and after it `times` nodes, each of which reads the one before."""
    chain = {f"n{at}": link([f"n{at - 1}", 0]) for at in range(1, times + 1)}
    return {"n0": first, **chain}


def pictures(link: Callable[[list[Any]], Graph], times: int) -> Graph:
    chain = chained(empty_image(width=10, height=10), link, times)
    return saved(**chain, picture=node("ImageInvert", image=[f"n{times}", 0]))


def latents(link: Callable[[list[Any]], Graph], times: int) -> Graph:
    chain = chained(node("EmptyLatentImage", width=512, height=512, batch_size=1), link, times)
    return {**chain, "save": node("SaveLatent", samples=[f"n{times}", 0], filename_prefix="bad")}


def by_link(value: int, name: str) -> Graph:
    """A picture, one number of which comes by a link and past the check of constants."""
    return saved(number=node("PrimitiveInt", value=value), picture=empty_image(**{name: ["number", 0]}))


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, chunks: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND")


TEXTS = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9)) * 80  # a kilobyte each, a megabyte when read


def gif(frames: int) -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * frames + b";"


MODELS = {
    "truncated": bad("model_corrupt", sampled("truncated.safetensors"), "truncated.safetensors", "(truncated)"),
    "cut to bytes": bad("model_corrupt", sampled("stub.safetensors"), "stub.safetensors", "has 5 bytes"),
    "appended to": bad("model_corrupt", sampled("padded.safetensors"), "padded.safetensors", "was appended"),
    "foreign": bad("graph_rejected", sampled("foreign.safetensors"), "foreign.safetensors", "a Flux or Hunyuan"),
    "web page": bad("model_corrupt", sampled("page.safetensors"), "page.safetensors", "a web page"),
    "text": bad("model_corrupt", sampled("text.ckpt"), "text.ckpt", "not a whole PyTorch file"),
    "pickle": bad("model_unsafe", sampled("pickle.safetensors"), "pickle.safetensors", "a Python pickle"),
    "pickle with code": bad("model_unsafe", sampled("evil.ckpt"), "evil.ckpt", "could run code"),
    "missing": bad("model_missing", sampled("god.safetensors"), "'god.safetensors'", "'good.safetensors'"),
}
CLIMB = "../checkpoints/good.safetensors"
NAMES = {
    "model": bad("model_missing", sampled(f"../{CLIMB}"), "ckpt_name", f"'../{CLIMB}'"),
    "model by a link": bad("input_rejected", loaded(["name", 0]), "'../secret.png'", "'..' segment"),
    "model out of the root": bad("model_missing", sampled("linked.safetensors"), "'linked.safetensors'"),
    "input": bad("graph_rejected", loaded("../../etc/passwd"), "image", "'../../etc/passwd'"),
    "input by a link": bad(
        "invalid_request",
        sampled(["name", 0]) | {"name": node("PrimitiveString", value=CLIMB)},
        f"'{CLIMB}'",
        "inside the models folder",
    ),
    "file": bad("input_rejected", loaded(), "images[0]", "'../in.png'", images=file(b"x", "../in.png")),
    "file twice": bad("input_rejected", loaded(), "images[1]", "'in.png' is taken", images=file(b"x") * 2),
    "prefix": bad("invalid_request", saved("../../bad"), "filename_prefix '../../bad'", "out of the output folder"),
    "absolute prefix": bad("invalid_request", saved("/etc/bad"), "filename_prefix '/etc/bad'"),
    "class": bad("unknown_node", {"__init__": node("__class__", __dict__=1)}, "node __init__", "'__class__'"),
}
FILES = {
    "no picture": bad("input_rejected", loaded(), "'in.png' is no picture", images=file(b"hello world")),
    "script": bad("input_rejected", loaded(), "'in.png' is no picture", images=file(b"<svg onload='x()'/>")),
    "bomb": bad("input_rejected", loaded(), "'in.png'", "900000000", "100000000", images=file(png(30_000, 30_000))),
    "endless": bad("input_rejected", loaded(), "'in.png' is too large", images=file(png(2**31 - 1, 2**31 - 1))),
    "texts": bad("input_rejected", loaded(), "'in.png' is no picture", "text chunks", images=file(png(8, 8, TEXTS))),
    "frames": bad("input_rejected", loaded("a.gif"), "'a.gif'", "2048 frames", images=file(gif(100_000), "a.gif")),
    "no base64": bad("input_rejected", loaded(), "images[0] 'in.png'", "'*'", images=address("A*AA")),
    "private": bad("input_rejected", loaded(), "images[0]", "'169.254.1.1'", images=address("http://169.254.1.1/x")),
    "own file": bad("input_rejected", loaded(), "images[0]", "'file'", images=address("file:///etc/passwd")),
    "no latent": bad(
        "input_rejected",
        latents(lambda _: node("LoadLatent", latent="a.latent"), 1),
        "'a.latent' is no .latent file",
        images=file(b"\x80\x02" * 50, "a.latent"),
    ),
}
CONSTANTS = {
    "nodes": bad(
        "graph_rejected", {str(at): empty_image() for at in range(20_001)}, "20001 nodes", "20000 (MAX_NODES)"
    ),
    "pixels": bad("graph_rejected", saved(picture=empty_image(width=16384, height=16384)), "16384", "MAX_PIXELS"),
    "batch": bad("graph_rejected", saved(picture=empty_image(batch_size=4000)), "4000", "256 (MAX_BATCH)"),
    "pixels of a batch": bad(
        "graph_rejected", saved(picture=empty_image(width=2000, height=2000, batch_size=200)), "200", "MAX_PIXELS"
    ),
    "steps": bad("graph_rejected", sampled(steps=1001), "steps", "1001", "1000 (MAX_STEPS)"),
    "width by a link": bad("graph_rejected", by_link(10**9, "width"), "node picture", "width of 1000000000"),
    "batch by a link": bad("graph_rejected", by_link(10**5, "batch_size"), "batch_size of 100000", "MAX_BATCH"),
    "nothing by a link": bad("node_failed", by_link(0, "width"), "SaveImage (node save)", "(1, 8, 0, 3)"),
    "steps by a link": bad("graph_rejected", sampled(steps=["number", 0]), "steps of 1000000000", "MAX_STEPS"),
    "text": bad("invalid_request", sampled(text="a cat, " * 150_000), "the prompt has 1050000 characters", "50000"),
    "parentheses": bad("invalid_request", sampled(text="(" * 10_000 + ")" * 10_000), "nest 10000 deep", "200"),
}
EIGHTFOLD = {"upscale_method": "nearest-exact", "scale_by": 8.0}
GROWTH = {
    "scales": bad(
        "graph_rejected",
        pictures(lambda link: node("ImageScaleBy", image=link, **EIGHTFOLD), 9),
        "ImageScaleBy (node n4) makes a picture of 40960x40960",
        "MAX_PIXELS",
    ),
    "doublings": bad(
        "graph_rejected",
        pictures(lambda link: node("ImageBatch", image1=link, image2=link), 30),
        "ImageBatch (node n13) makes 8192 pictures",
        "MAX_BATCH",
    ),
    "repeats": bad(
        "graph_rejected", grown("RepeatImageBatch", amount=4096), "makes 4096 pictures of 512x512", "MAX_PIXELS"
    ),
    "padding": bad(
        "graph_rejected",
        grown("ImagePadForOutpaint", left=16384, top=16384, right=16384, bottom=16384, feathering=0),
        "makes a picture of 33280x33280",
        "MAX_PIXELS",
    ),
    "a side that follows": bad(
        "graph_rejected",
        grown("ImageScale", upscale_method="area", width=0, height=16384, crop="disabled"),
        "makes a picture of 16384x16384",
        "MAX_PIXELS",
    ),
    "latent scales": bad(
        "graph_rejected",
        latents(lambda link: node("LatentUpscaleBy", samples=link, **EIGHTFOLD), 9),
        "LatentUpscaleBy (node n2) makes a picture of 32768x32768",
        "MAX_PIXELS",
    ),
    "latent repeats": bad(
        "graph_rejected",
        latents(lambda link: node("RepeatLatentBatch", samples=link, amount=64), 9),
        "RepeatLatentBatch (node n2) makes 4096 pictures of 512x512",
        "MAX_PIXELS",
    ),
}
JSON_NAN = (
    '{"1": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}, "2": {"class_type": "EmptyImage", %s}}'
)
NUMBERS = {
    "nan": bad("graph_rejected", sampled(cfg=NAN), "cfg", "nan", "finite"),
    "nan as text": bad("graph_rejected", sampled(cfg="NaN"), "cfg", "'NaN'", "finite"),
    "nan in JSON": bad("graph_rejected", JSON_NAN % '"inputs": {"width": NaN}', "width", "nan"),
    "infinity": bad("graph_rejected", sampled(denoise=INFINITY), "denoise", "inf"),
    "nan for a whole number": bad("graph_rejected", saved(picture=empty_image(width=NAN)), "width", "nan"),
    "thousands of digits": bad("graph_rejected", saved(picture=empty_image(width="9" * 5_000)), "width", "digits"),
    "nan by an override": bad("graph_rejected", saved(), "width", "nan", overrides={"picture.width": NAN}),
}
SIZES = {
    "prompt": large(lambda: {"workflow": sampled(text="a" * HUGE)}, "workflow", "20000000 bytes (MAX_REQUEST_SIZE)"),
    "text of JSON": large(lambda: {"workflow": '{"1": "' + "a" * HUGE + '"}'}, "workflow", "20000000 bytes"),
    "numbers": large(lambda: {"workflow": saved(x={"y": [1] * (HUGE // 4)})}, "workflow", "20000000 bytes"),
    "override": large(lambda: {"workflow": saved(), "overrides": {"a": "a" * HUGE}}, "overrides", "20000000 bytes"),
    "metadata": large(lambda: {"workflow": saved(), "extra_pnginfo": {"a": "a" * HUGE}}, "extra_pnginfo", "20000000"),
    "user": large(lambda: {"workflow": saved(), "user_id": "a" * HUGE}, "user_id", "100000000 characters"),
    "picture": large(
        lambda: {"workflow": loaded(), "images": address("A" * HUGE)},
        "images[0] 'in.png'",
        "75000000 bytes",
        "50000000",
        code="input_rejected",
    ),
    "pictures": large(lambda: {"workflow": saved(), "images": file(b"x") * 100_000}, "images", "64", "100000"),
    "node id": large(lambda: {"workflow": {"a" * 10_000_000: empty_image()}}, "node id", "10000000", "256"),
    "depth": large(lambda: {"workflow": "[" * 1_000_000}, "workflow", "not JSON"),
    "override of dots": large(lambda: {"workflow": saved(), "overrides": {"." * 300_000: 1}}, "300000 characters"),
    "metadata's name": large(lambda: {"workflow": saved(), "extra_pnginfo": {"a\0b": 1}}, "extra_pnginfo", "\\x00"),
}
GROUPS = {
    "model": MODELS,
    "climbs": NAMES,
    "file": FILES,
    "limit": CONSTANTS,
    "grows": GROWTH,
    "number": NUMBERS,
    "size": SIZES,
}
EVERY = {f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()}


class _Code:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("false",)


@pytest.fixture(scope="module")
def models(mini_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one good checkpoint and every kind of bad one."""
    folder = tmp_path_factory.mktemp("models") / "checkpoints"
    folder.mkdir()
    good = mini_models / "checkpoints" / "sd1_mini.safetensors"
    data = good.read_bytes()
    (folder / "good.safetensors").write_bytes(data)
    (folder / "truncated.safetensors").write_bytes(data[: len(data) // 2])
    (folder / "stub.safetensors").write_bytes(data[:5])
    (folder / "padded.safetensors").write_bytes(data + b"more")
    (folder / "page.safetensors").write_bytes(b"<!doctype html><title>Sign in</title>")
    (folder / "text.ckpt").write_bytes(b"hello " * 100)
    (folder / "pickle.safetensors").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    (folder / "evil.ckpt").write_bytes(pickle.dumps(_Code(), protocol=2))
    (folder / "linked.safetensors").symlink_to(good)
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.zeros(4)}, folder / "foreign.safetensors")
    return folder.parent


@pytest.fixture(scope="module")
def worker(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The one worker that every bad input goes to, warm as a worker is that has run its first job."""
    home = tmp_path_factory.mktemp("home")
    folders = {"STORAGE_BASE_PATH": home / "data", "COMFYUI_TEMP_PATH": home / "work", "MODELS_PATH": models}
    variables = {name: str(folder) for name, folder in folders.items()}
    settings = Settings.from_env({**variables, "DEVICE": "cpu", "MAX_FILE_SIZE": "50000000"})
    worker = build(settings, delivery="base64")
    assert run(worker, {"workflow": sampled()}).error is None
    yield worker
    worker.close()


def run(worker: Worker, fields: dict[str, Any]) -> JobResult:
    request, _ = JobRequest.parse(fields)
    return worker.run(request)


def refused(worker: Worker, fields: dict[str, Any]) -> Failure | None:
    try:
        return run(worker, fields).error
    except InvalidRequest as exc:  # before there is a job
        return Failure.of(exc)


def pixels_of_next_job(worker: Worker, color: int) -> Any:
    result = run(worker, {"workflow": saved("good", picture=empty_image(color=color))})
    assert result.error is None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(result.outputs[0].data or ""))))


@pytest.mark.parametrize(("case", "color"), [(case, at) for at, case in enumerate(EVERY.values())], ids=EVERY)
def test_bad_input_is_a_coded_error_at_once_and_the_next_job_is_right(worker: Worker, case: Bad, color: int) -> None:
    fields = case.request() if callable(case.request) else case.request
    with at_once():
        error = refused(worker, fields)
    assert error is not None
    assert (error.code, [word for word in case.says if word not in error.message]) == (case.code, []), error.message
    assert len(error.message) < 2_000
    assert (pixels_of_next_job(worker, color) == np.full((8, 16, 3), [0, 0, color])).all()
