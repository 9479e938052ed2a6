"""Run random graphs on a ComfyUI checkout and on the native engine, and tell where they differ.

    COMFYUI_PATH=/path/to/ComfyUI COMFYUI_PYTHON=/path/to/its/python python -m scripts.parity.random_check 0 100

For every seed from the first number up to the second. What ComfyUI runs must run here and give the same values; that a
node fails there and runs here is reported in small letters and is no difference.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scripts.parity.capture import Array
from scripts.parity.case_file import PARITY
from scripts.parity.random_graphs import Workflow, random_workflow
from scripts.parity.random_native import RandomNative
from scripts.parity.recorded import without

Record = dict[str, Any]

BOUND = 1e-3  # of the largest value: that of latents, the widest of the fixed cases
NOTHING = 1e-4  # values up to this are what rounding leaves of nought


def compared(theirs: Record, ours: Record, workflow: Workflow) -> list[str]:
    """One line for each difference; of the values, those of nodes that are fed by none whose values differ."""
    lines = list(_refusals(theirs, ours))
    ran: Mapping[str, Any] = workflow
    for failed in theirs["failures"]:
        ran = without(ran, failed)
    lines += [f"FAILS HERE: {id} {workflow[id]}: {failure}" for id, failure in ours["failures"].items() if id in ran]
    lines += [
        f"fails there: {id} {workflow.get(id)}: {failure}"
        for id, failure in theirs["failures"].items()
        if id not in ours["failures"]
    ]
    return lines + list(_values(theirs, ours, workflow))


def _refusals(theirs: Record, ours: Record) -> Iterator[str]:
    if bool(theirs["error"]) != bool(ours["error"]):
        yield f"REFUSED there: {theirs['error']}, here: {ours['error']}"
    if theirs["node_errors"] != ours["node_errors"]:
        yield f"ERRORS there: {theirs['node_errors']}, here: {ours['node_errors']}"


def _values(theirs: Record, ours: Record, workflow: Workflow) -> Iterator[str]:
    differing: set[str] = set()
    for label, arrays in sorted(theirs["values"].items(), key=lambda item: float(item[0])):
        id = label.partition(".")[0]
        if label not in ours["values"]:
            if not ours["failures"] and not ours["node_errors"]:
                yield f"MISSING {label} {workflow[id]}"
            continue
        found = differences(arrays, ours["values"][label])
        if found:
            fed = {value[0] for value in workflow[id]["inputs"].values() if isinstance(value, list)}
            if not fed & differing:
                yield f"VALUE {label} {workflow[id]}: {'; '.join(found)}"
            differing.add(id)


def differences(theirs: dict[str, Array], ours: dict[str, Array]) -> list[str]:
    """How the arrays of one output differ, by path. What is not finite there is nothing to compare with."""
    found = [f"only there {sorted(theirs.keys() - ours.keys())}"] if theirs.keys() - ours.keys() else []
    found += [f"only here {sorted(ours.keys() - theirs.keys())}"] if ours.keys() - theirs.keys() else []
    for name in sorted(theirs.keys() & ours.keys()):
        want, got = theirs[name], ours[name]
        if want.shape != got.shape:
            found.append(f"{name}: shape {got.shape}, there {want.shape}")
        elif want.dtype.kind != "f":
            found += [] if np.array_equal(want, got) else [f"{name}: {got!r}, there {want!r}"]
        elif np.isfinite(want).all():
            apart = float(np.abs(want - got).max(initial=0)) / max(float(np.abs(want).max(initial=0)), NOTHING)
            found += [] if apart <= BOUND else [f"{name}: {apart:.2g} apart"]
    return found


def main() -> int:
    """Run the seeds of the command line; the exit status is 1 where a graph differs."""
    arguments = _arguments()
    seeds = range(arguments.first, arguments.last)
    graphs = {str(seed): random_workflow(seed, nodes=arguments.nodes) for seed in seeds}
    with tempfile.TemporaryDirectory(prefix="random-") as folder:
        theirs = records_of_comfyui(graphs, arguments.keep or Path(folder))
        make = [sys.executable, str(PARITY / "make_checkpoints.py"), "--tree", folder]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        engine = RandomNative(Path(folder))
        differing = 0
        for name, workflow in graphs.items():
            lines = compared(theirs[name], engine.record(name, workflow), workflow)
            differing += any(line[0].isupper() for line in lines)
            if lines:
                print(f"seed {name}", *lines, sep="\n  ", flush=True)
    print(f"{len(graphs)} graphs, {differing} differ")
    return 1 if differing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run random graphs on ComfyUI and on the native engine.")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--nodes", type=int, default=10, help="nodes of a graph, beside those that they need")
    parser.add_argument("--keep", type=Path, help="a folder for ComfyUI's records, that the next run takes them from")
    return parser.parse_args()


def records_of_comfyui(graphs: dict[str, Workflow], folder: Path) -> dict[str, Record]:
    """What ComfyUI makes of the graphs; the records of the same graphs are taken from `folder` where they lie there."""
    folder.mkdir(exist_ok=True)
    asked, answered = folder / "graphs.json", folder / "records.pickle"
    text = json.dumps(graphs)
    if not (answered.exists() and asked.read_text() == text):
        asked.write_text(text)
        command = [os.environ["COMFYUI_PYTHON"], "-m", "scripts.parity.random_comfyui", str(asked), str(answered)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records: dict[str, Record] = pickle.loads(answered.read_bytes())
    return records


if __name__ == "__main__":
    sys.exit(main())
