"""Every parity case on the comfyui engine, held against what the checkout gave when it was run by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.cancellation import CancelFlag
from runtime.engines.comfyui.engine import ComfyEngine
from runtime.engines.protocol import Run
from runtime.graph.workflow import parse_workflow
from runtime.progress import ignore_progress
from runtime.workspace import Workspace
from scripts.parity.capture import arrays_of
from scripts.parity.case_file import PARITY, Case, read_cases
from scripts.parity.compare import differences

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.parametrize("checkout", ["comfyui"], indirect=True, scope="session"),
]


class Sink:
    """Takes the outputs that cases save, and lets them go."""

    def picture(self, picture: object) -> str:
        return "picture.png"

    def file(self, output: object) -> str:
        return "file.latent"


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_graph_gives_what_comfyui_gives(case: Case, engine: ComfyEngine, own_class: Callable[[str], Any]) -> None:
    kept = own_class("TestCapture").kept
    kept.clear()
    engine.free()  # some samplers write into the sigmas that the executor keeps
    with Workspace(shared_inputs=[PARITY / "input"]) as workspace:
        report = engine.check(parse_workflow(with_captures(case)), workspace)
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
    arrays = {name: array for label, value in kept.items() for name, array in arrays_of(label, value).items()}
    assert differences(case, arrays) == []


def with_captures(case: Case) -> dict[str, Any]:
    captures = {
        f"capture {label}": {"class_type": "TestCapture", "inputs": {"value": list(link), "label": label}}
        for label, link in case.capture.items()
    }
    return {**case.workflow, **captures}
