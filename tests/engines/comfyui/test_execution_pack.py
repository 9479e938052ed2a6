"""ComfyUI's own tests of execution (tests/execution of the checkout), run through a worker in place of its server.

Its test nodes are loaded from the checkout like any custom nodes, and so are its tests: this file has the client that
they speak to. One thing is told otherwise: an output node runs in every job, since its files are the job's own; it
counts as run where it is new or something that feeds it ran.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import sys
import urllib.error
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from runtime.engines.comfyui.engine import ComfyEngine
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.worker import Worker

CHECKOUT = Path(os.environ.get("COMFYUI_PATH") or "/nowhere")
FOLDER = CHECKOUT / "tests" / "execution"
if not (FOLDER / "test_async_nodes.py").is_file():
    pytest.skip("COMFYUI_PATH names no ComfyUI checkout with its tests", allow_module_level=True)

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.parametrize("checkout", ["comfyui"], indirect=True, scope="session"),
]
OF_THE_SERVER_ALONE = ("test_partial_execution_", "test_offset_")
"""Tests of what its HTTP server has and a job has not: a choice among outputs, and a history of prompts."""


def _theirs(name: str) -> ModuleType:
    """A module of the checkout's tests, under the name by which they import each other."""
    sys.modules.setdefault("websocket", ModuleType("websocket"))  # of its client alone, which is not used
    spec = importlib.util.spec_from_file_location(f"tests.execution.{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.append(str(CHECKOUT))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(CHECKOUT))
    return module


class WorkerClient:
    """What their client is, for a worker: it runs a graph and tells what ran, what was cached and what came out."""

    def __init__(self, worker: Worker, engine: ComfyEngine) -> None:
        self._worker = worker
        self._engine = engine
        self._known: set[str] = set()
        engine.free()

    def run(self, graph: Any) -> Any:
        """Run their graph. Raises what their client raises."""
        for node in graph.nodes.values():
            if node.class_type == "SaveImage":
                node.inputs["filename_prefix"] = "execution"
        workflow = graph.finalize()
        started: list[str] = []
        request, _ = JobRequest.parse({"workflow": workflow, "output": {"delivery": "base64"}})
        result = self._worker.run(request, on_progress=lambda progress: started.append(str(progress.node_id)))
        self._raise(result)
        told = EXECUTION.RunResult(result.job_id)
        told.cached = dict.fromkeys(result.cached_nodes, True)
        told.runs = {id: True for id in started if not self._only_repeats(id, workflow, told.cached)}
        self._known |= {_spelled(id, workflow) for id in workflow}
        for output in result.outputs:
            picture = Image.open(io.BytesIO(base64.b64decode(output.data or "")))
            told.outputs.setdefault(output.node_id, {"image_objects": []})["image_objects"].append(picture)
        return told

    def _only_repeats(self, id: str, workflow: Mapping[str, Any], cached: Mapping[str, bool]) -> bool:
        """Whether an output node does again what the same node on the same results did before."""
        if id not in workflow or _spelled(id, workflow) not in self._known:
            return False
        links = [value[0] for value in workflow[id]["inputs"].values() if isinstance(value, list)]
        node_class = self._engine._thread.call(lambda: self._engine._classes[workflow[id]["class_type"]])
        return getattr(node_class, "OUTPUT_NODE", False) is True and all(link in cached for link in links)

    @staticmethod
    def _raise(result: JobResult) -> None:
        """Raise as their client does: an HTTP error for a refusal, else an Exception with what went wrong."""
        error = result.error
        if error is None:
            return
        if error.code in ("graph_rejected", "unknown_node", "invalid_request"):
            said = io.BytesIO(json.dumps({"error": error.message, "node_errors": error.node_errors}).encode())
            raise urllib.error.HTTPError("/prompt", 400, error.message, Message(), said)
        raise Exception({"prompt_id": result.job_id, "node_id": error.node_id, "exception_message": error.message})


def _spelled(id: str, workflow: Mapping[str, Any]) -> str:
    """The node and all that feeds it; what goes in a circle is cut."""
    node = workflow.get(id)
    if node is None or len(workflow) > 100:
        return id
    rest = {name: each for name, each in workflow.items() if name != id}
    inputs = {
        name: _spelled(value[0], rest) if isinstance(value, list) else value for name, value in node["inputs"].items()
    }
    return json.dumps([id, node["class_type"], inputs], sort_keys=True)


EXECUTION = _theirs("test_execution")
ASYNC_NODES = _theirs("test_async_nodes")


class _ThroughAWorker:
    """Their fixtures, with our worker behind them."""

    @pytest.fixture(scope="class", autouse=True)
    def _server(self) -> None:
        """Theirs starts a server."""

    @pytest.fixture(scope="class", autouse=True)
    def shared_client(self, worker: Worker, engine: ComfyEngine) -> WorkerClient:
        return WorkerClient(worker, engine)

    @pytest.fixture
    def client(self, shared_client: WorkerClient, request: pytest.FixtureRequest) -> WorkerClient:
        if request.node.originalname.startswith(OF_THE_SERVER_ALONE):
            pytest.skip("it tests what only ComfyUI's server has")
        return shared_client

    @pytest.fixture
    def skip_timing_checks(self) -> bool:
        return True


class TestExecution(_ThroughAWorker, EXECUTION.TestExecution):
    """Their TestExecution."""


class TestAsyncNodes(_ThroughAWorker, ASYNC_NODES.TestAsyncNodes):
    """Their TestAsyncNodes."""
