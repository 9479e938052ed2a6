from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.utils._pytree import tree_leaves

from runtime.build import build_native
from runtime.cancellation import CancelFlag
from runtime.engines.native.engine import NativeEngine
from runtime.engines.protocol import Run
from runtime.graph.workflow import parse_workflow
from runtime.progress import ignore_progress
from runtime.settings import Settings
from runtime.workspace import Workspace
from scripts.parity.capture import Array, arrays_of
from scripts.parity.case_file import PARITY, Case

RunCase = Callable[[Case], dict[str, Array]]


class Sink:
    """Takes the outputs that cases save, and lets them go."""

    def picture(self, picture: object) -> str:
        return "picture.png"

    def file(self, output: object) -> str:
        return "file.latent"


class CaseRunner:
    """Runs cases on an engine with an output node that keeps what reaches it."""

    def __init__(self, node_class: Callable[..., type], settings: Settings) -> None:
        self._kept: dict[str, Any] = {}
        inputs: dict[str, Any] = {"value": ("*",), "label": ("STRING", {})}
        capture = node_class(self._keep, required=inputs, output=True)
        self._engine: NativeEngine = build_native(settings, extra_classes={"Capture": capture})

    def run(self, case: Case) -> dict[str, Array]:
        """The arrays that are kept of the case, by name."""
        self._kept.clear()
        with Workspace(shared_inputs=[PARITY / "input"]) as workspace:
            report = self._engine.check(parse_workflow(_with_captures(case)), workspace)
            assert report.node_errors == {}
            report.raise_if_rejected()
            run = Run(
                job_id=case.name,
                tenant="parity",
                files=workspace,
                sink=Sink(),
                flag=CancelFlag(),
                on_progress=ignore_progress,
            )
            self._engine.execute(report, run)
        return {name: array for label, value in self._kept.items() for name, array in arrays_of(label, value).items()}

    def _keep(self, value: Any, label: str) -> tuple[()]:
        tensors = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
        assert {tensor.device.type for tensor in tensors} <= {"cpu"}, label  # wherever it was computed
        self._kept[label] = value
        return ()


def _with_captures(case: Case) -> dict[str, Any]:
    captures = {
        f"capture {label}": {"class_type": "Capture", "inputs": {"value": list(link), "label": label}}
        for label, link in case.capture.items()
    }
    return {**case.workflow, **captures}


@pytest.fixture(scope="session")
def runner_on(mini_models: Path, node_class: Callable[..., type]) -> Callable[..., RunCase]:
    """`runner_on("cuda", dtype="float16")`: runs a case on an engine of its own and answers what the case keeps."""

    def make(device: str, *, dtype: str = "auto") -> RunCase:
        settings = Settings(models_path=mini_models, device=device, dtype=dtype, max_steps=10_000)
        return CaseRunner(node_class, settings).run

    return make
