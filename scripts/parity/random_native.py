"""Run graphs on the native engine and keep what every node gave, as `random_comfyui` does on a checkout."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.build import build_native
from runtime.cancellation import CancelFlag
from runtime.engines.protocol import Run
from runtime.errors import ServerlessError
from runtime.graph.check import CheckReport
from runtime.graph.workflow import parse_workflow
from runtime.nodes import node_classes
from runtime.progress import ignore_progress
from runtime.settings import Settings
from runtime.workspace import Workspace
from scripts.parity.case_file import PARITY
from scripts.parity.random_comfyui import MOST_FAILURES
from scripts.parity.recorded import RECORDER, Values, recorder, with_recorders, without


class Sink:
    """Takes the outputs that graphs save, and lets them go."""

    def picture(self, picture: object) -> str:
        return "picture.png"

    def file(self, output: object) -> str:
        return "file.latent"


class RandomNative:
    """The native engine, answering of a graph what `RandomCheckout.record` answers."""

    def __init__(self, models: Path) -> None:
        classes: dict[str, Any] = node_classes()
        self._outputs = {name: len(cls.RETURN_TYPES) for name, cls in classes.items()}
        self._kept: Values = {}
        settings = Settings(models_path=models, device="cpu")
        self._engine = build_native(settings, extra_classes={RECORDER: recorder(self._kept)})

    def record(self, name: str, workflow: dict[str, Any]) -> dict[str, Any]:
        """What was refused, which nodes failed, and the values of those that ran."""
        prompt = with_recorders(workflow, self._outputs)
        with Workspace(shared_inputs=[PARITY / "input"]) as workspace:
            report = self._engine.check(parse_workflow(prompt), workspace)
            failures, good = self._run(name, prompt, report, workspace)
        return {
            "error": report.error and report.error.code,
            "node_errors": {id: _named(found["errors"]) for id, found in report.node_errors.items()},
            "failures": failures,
            "values": dict(self._kept) if good else {},
        }

    def _run(
        self, name: str, prompt: dict[str, Any], report: CheckReport, workspace: Workspace
    ) -> tuple[dict[str, str], Sequence[str]]:
        """The nodes that failed and how, and the outputs that nothing kept from running."""
        good: Sequence[str] = report.outputs
        failures: dict[str, str] = {}
        run = Run(
            job_id=name,
            tenant=name,
            files=workspace,
            sink=Sink(),
            flag=CancelFlag(),
            on_progress=ignore_progress,
        )
        while good and len(failures) < MOST_FAILURES:
            self._kept.clear()
            try:
                self._engine.execute(dataclasses.replace(report, outputs=tuple(good)), run)
            except ServerlessError as exc:
                if exc.node_id is None:
                    raise
                failures[exc.node_id] = f"{exc.code}: {exc.message}"
                prompt = without(prompt, exc.node_id)
                good = [output for output in good if output in prompt]
            else:
                break
        return failures, good


def _named(errors: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((error["type"], error["extra_info"].get("input_name", "")) for error in errors)
