"""A ComfyUI checkout for the tests: one a process, since its modules live in `sys.modules`.

`COMFYUI_PATH=/path/to/ComfyUI pytest -m comfyui tests/engines/comfyui`, in the interpreter that has its requirements,
runs the tests on that checkout; torchvision and torchaudio may be absent there.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime.build import build
from runtime.engines.comfyui.engine import ComfyEngine
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.settings import Settings
from runtime.worker import Worker
from scripts.parity import stand_ins
from scripts.parity.case_file import PARITY

STAND_IN = Path(__file__).parent / "stand_in"
OWN_NODES = Path(__file__).parent / "custom_nodes"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests on the checkout that is not this run's before a fixture is made: one process boots one, once.

    Of a real checkout's own warnings, such as files that it leaves open, nothing is said here.
    """
    real = bool(os.environ.get("COMFYUI_PATH"))
    reason = "COMFYUI_PATH names a ComfyUI checkout" if real else "COMFYUI_PATH names no ComfyUI checkout"
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        if real:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
        of = (
            item.callspec.params.get("checkout")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        if of is not None and (of == "comfyui") != real:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", params=["stand-in", pytest.param("comfyui", marks=pytest.mark.comfyui)])
def checkout(request: pytest.FixtureRequest) -> Path:
    """The checkout that the tests of this process run on."""
    if request.param == "stand-in":
        return STAND_IN
    stand_ins.install_absent()
    return Path(os.environ["COMFYUI_PATH"])


@pytest.fixture(scope="session")
def custom_nodes(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own custom nodes, the checkout's test nodes, and those that know the mini checkpoints."""
    folder = tmp_path_factory.mktemp("custom_nodes")
    families = [] if checkout == STAND_IN else [PARITY / "comfyui_mini_families"]
    theirs = (checkout / "tests" / "execution" / "testing_nodes").glob("*")
    for package in [*OWN_NODES.iterdir(), *families, *theirs]:
        if package.name != "__pycache__":
            (folder / package.name).symlink_to(package)
    return folder


@pytest.fixture(scope="session")
def own_models(mini_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that tests may write to, with the mini models."""
    folder: Path = shutil.copytree(mini_models, tmp_path_factory.mktemp("own") / "models", copy_function=_link_or_copy)
    return folder


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@pytest.fixture(scope="session")
def worker(
    checkout: Path, custom_nodes: Path, own_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A worker whose every job runs on the checkout; the checkout boots with the first one."""
    data = tmp_path_factory.mktemp("data")
    settings = Settings(
        comfyui_path=checkout,
        comfyui_custom_nodes_path=custom_nodes,
        comfyui_api_nodes=False,
        models_path=own_models,
        workspace_path=data / "workspaces",
        data_path=data,
        engine="comfyui",
    )
    worker = build(settings, delivery="base64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a checkout warns of while it is imported is its own affair
        worker._parts.engines.get("comfyui").knows("SaveImage")
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def engine(worker: Worker) -> ComfyEngine:
    found = worker._parts.engines.get("comfyui")
    assert isinstance(found, ComfyEngine)
    return found


Run = Callable[..., JobResult]


@pytest.fixture
def run(worker: Worker) -> Run:
    """`run(workflow, **fields)`: the result of a job."""

    def go(workflow: Mapping[str, Any], *, cancel: Any = None, on_progress: Any = None, **fields: Any) -> JobResult:
        request, _ = JobRequest.parse({"workflow": dict(workflow), **fields})
        return worker.run(request, cancel=cancel, on_progress=on_progress or (lambda progress: None))

    return go


@pytest.fixture
def graph() -> Callable[..., dict[str, Any]]:
    """`graph(...)`: a red picture `image` of 16 x 8, and the nodes given."""

    def make(**nodes: Any) -> dict[str, Any]:
        return {"image": _node("EmptyImage", width=16, height=8, batch_size=1, color=0xFF0000), **nodes}

    return make


@pytest.fixture
def node() -> Callable[..., dict[str, Any]]:
    """`node("ImageInvert", image=["image", 0])`."""
    return _node


def _node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def own_class(engine: ComfyEngine) -> Callable[[str], Any]:
    """A class of custom_nodes/own_pack.py, as the checkout has it."""
    return lambda name: engine._thread.call(lambda: engine._classes[name])
