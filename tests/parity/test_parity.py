"""Every case that ComfyUI ran, run on the native engine and held against what ComfyUI produced."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime.build import build_native
from runtime.cancellation import CancelFlag
from runtime.engines.native.engine import NativeEngine
from runtime.engines.protocol import Run
from runtime.graph.workflow import parse_workflow
from runtime.progress import ignore_progress
from runtime.settings import Settings
from runtime.workspace import Workspace
from scripts.parity.capture import arrays_of
from scripts.parity.case_file import PARITY, Case, read_cases
from scripts.parity.compare import differences

CASES = read_cases()


class Capture:
    """An output node that keeps what reaches it."""

    CATEGORY = "tests"
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "keep"
    kept: ClassVar[dict[str, Any]] = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": ("*",), "label": ("STRING", {})}}

    def keep(self, value: Any, label: str) -> tuple[()]:
        self.kept[label] = value
        return ()


class Sink:
    """Takes the outputs that cases save, and lets them go."""

    def picture(self, picture: object) -> str:
        return "picture.png"

    def file(self, output: object) -> str:
        return "file.latent"


@pytest.fixture(scope="module")
def engine(mini_models: Path, tmp_path_factory: pytest.TempPathFactory) -> NativeEngine:
    folder = tmp_path_factory.mktemp("nodes")
    settings = Settings(models_path=mini_models, device="cpu", native_nodes_path=folder, max_steps=10_000)
    return build_native(settings, extra_classes={"Capture": Capture})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_graph_gives_what_comfyui_gives(case: Case, engine: NativeEngine) -> None:
    Capture.kept.clear()
    with Workspace(shared_inputs=[PARITY / "input"]) as workspace:
        report = engine.check(parse_workflow(_with_captures(case)), workspace)
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
        engine.execute(report, run)
    kept = {name: array for label, value in Capture.kept.items() for name, array in arrays_of(label, value).items()}
    assert differences(case, kept) == []


def _with_captures(case: Case) -> dict[str, Any]:
    captures = {
        f"capture {label}": {"class_type": "Capture", "inputs": {"value": list(link), "label": label}}
        for label, link in case.capture.items()
    }
    return {**case.workflow, **captures}
