"""Run graphs on a ComfyUI checkout and keep what every node gave, in the interpreter that has ComfyUI's requirements.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.parity.random_comfyui GRAPHS.json RECORDS.pickle

`scripts.parity.random_check` calls it.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import os
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.parity.checkout import Checkout
from scripts.parity.recorded import RECORDER, Values, recorder, with_recorders, without

MOST_FAILURES = 6


class RandomCheckout(Checkout):
    """A checkout that answers what became of a graph, refusals and failures included."""

    def __init__(self, path: Path, base: Path) -> None:
        super().__init__(path, base)
        self._kept: Values = {}
        self._classes: dict[str, Any] = importlib.import_module("nodes").NODE_CLASS_MAPPINGS
        self._classes[RECORDER] = recorder(self._kept)

    def record(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """What was refused, which nodes failed, and the values of those that ran.

        Where a node fails, the graph runs again without it and what it feeds.
        """
        prompt = copy.deepcopy(with_recorders(workflow, self._outputs_of(workflow)))
        accepted, error, good, node_errors = asyncio.run(self._execution.validate_prompt("random", prompt, None))
        failures: dict[str, str] = {}
        while accepted and good and len(failures) < MOST_FAILURES:
            self._kept.clear()
            self._executor.reset()
            self._executor.execute(prompt, "random", execute_outputs=list(good))
            if self._executor.success:
                break
            id, failures[id] = self._failure()
            prompt = without(prompt, id)
            good = [output for output in good if output in prompt]
        return {
            "error": error and error["type"],
            "node_errors": {id: _named(found["errors"]) for id, found in node_errors.items()},
            "failures": failures,
            "values": dict(self._kept) if accepted and good else {},
        }

    def _outputs_of(self, workflow: dict[str, Any]) -> dict[str, int]:
        names = {node["class_type"] for node in workflow.values()} & self._classes.keys()
        return {name: len(self._classes[name].RETURN_TYPES) for name in names}

    def _failure(self) -> tuple[str, str]:
        """The node that failed, and how."""
        [data] = [data for event, data in self._executor.status_messages if event == "execution_error"]
        return data["node_id"], f"{data['exception_type']}: {data['exception_message']}".strip()


def _named(errors: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((error["type"], error["extra_info"].get("input_name", "")) for error in errors)


def main() -> None:
    """Run every graph of the file."""
    graphs = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory(prefix="parity-") as base:
        checkout = RandomCheckout(Path(os.environ["COMFYUI_PATH"]), Path(base))
        records = {name: checkout.record(workflow) for name, workflow in graphs.items()}
    Path(sys.argv[2]).write_bytes(pickle.dumps(records))


if __name__ == "__main__":
    main()
