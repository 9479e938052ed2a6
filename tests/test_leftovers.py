"""What many jobs leave in a worker, of every kind of end: nothing."""

from __future__ import annotations

import base64
import gc
import io
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.build import build
from runtime.cancellation import CancelFlag
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.worker import Worker

NODES = """
class Fail:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        raise RuntimeError("it broke")


NODE_CLASS_MAPPINGS = {"Fail": Fail}
"""
ENDS = ("completed", "failed node", "bad graph", "bad input", "unreachable input", "cancelled")


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "fail.py").write_text(NODES)
    env = {"STORAGE_BASE_PATH": "data", "COMFYUI_TEMP_PATH": "work", "NATIVE_NODES_PATH": "nodes"}
    given = {name: str(tmp_path / folder) for name, folder in env.items()}
    worker = build(Settings.from_env({**given, "DEVICE": "cpu", "NODE_CACHE_SIZE_GB": "0.001"}))
    yield worker
    worker.close()


def request(number: int, end: str) -> JobRequest:
    load = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    color = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": number}}
    blend = {"image1": ["1", 0], "image2": ["2", 0], "blend_factor": 0.5, "blend_mode": "normal"}
    graph: dict[str, Any] = {
        "1": load,
        "2": color,
        "3": {"class_type": "ImageBlend", "inputs": blend},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a"}},
    }
    image = picture()
    if end == "failed node":
        graph["3"] = {"class_type": "Fail", "inputs": {"image": ["2", 0]}}
    if end == "bad graph":
        graph["3"]["inputs"]["image1"] = ["9", 0]
    if end == "bad input":
        image = "!!!"
    if end == "unreachable input":
        image = "https://127.0.0.1/a.png"
    given = {"workflow": graph, "images": [{"name": "a.png", "image": image}], "job_id": f"job-{number}"}
    return JobRequest.parse(given)[0]


def run(worker: Worker, numbers: range) -> None:
    for number in numbers:
        end = ENDS[number % len(ENDS)]
        flag = CancelFlag()
        if end == "cancelled":
            flag.set()
        result = worker.run(request(number, end), cancel=flag)
        assert result.status == (end if end in ("completed", "cancelled") else "failed"), result


def held() -> dict[str, int]:
    """The open files and threads of this process."""
    gc.collect()
    return {"files": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not tell a process's open files")
@pytest.mark.parametrize("count", [30, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_jobs_leave_no_file_thread_or_folder_behind(
    worker: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    caplog.set_level(logging.CRITICAL + 1)  # pytest keeps every line of the log, with its traceback
    run(worker, range(100_000, 100_030))
    before, objects = held(), len(gc.get_objects())
    run(worker, range(count))
    assert held() == before
    assert list((tmp_path / "work").iterdir()) == []
    assert len(gc.get_objects()) < objects * 1.05
