"""Measure the main job: cold start, request overhead, growth with the graph, sampling speed, peak memory.

    python -m scripts.bench.main_job [--runs 5] [--out docs/benchmarks.md]

Sampling speed is measured beside ComfyUI where COMFYUI_PATH names a checkout and COMFYUI_PYTHON the interpreter that
has its requirements; without them that figure is left out, and the page says so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.bench import workflows
from scripts.bench.measure import Figure, interleaved, median_seconds, peak_bytes, print_table, seconds_to_first_line

_ROOT = Path(__file__).resolve().parents[2]
_IMPORT_TORCH = [sys.executable, "-c", "import torch; print(1, flush=True)"]
_OVERHEAD_RUNS = 200


def main() -> int:
    """Print the table; the exit status is 1 where a figure is over its bound."""
    parser = argparse.ArgumentParser(description="Measure the main job.")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        figures = list(_figures(Path(name), arguments.runs))
    return print_table(figures)


def _figures(folder: Path, runs: int) -> Iterator[Figure]:
    models = _make_models(folder)
    yield _cold_start(folder, models, runs)
    yield from _in_process(folder, runs)
    if os.environ.get("COMFYUI_PATH"):
        yield _sampling_speed(folder, models, runs)
    yield _peak_memory(folder, models)


def _make_models(folder: Path) -> Path:
    make = [sys.executable, str(_ROOT / "tests/parity/make_checkpoints.py"), "--tree", str(folder / "models")]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    return folder / "models"


def _command(folder: Path, models: Path, workflow: workflows.Workflow, name: str) -> list[str]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(workflow), encoding="utf-8")
    command = Path(sys.executable).with_name("comfyui-serverless")
    return [str(command), "run", str(path), "--models", str(models), "--output", str(folder / "output"), "--json"]


def _environment(folder: Path) -> dict[str, str]:
    """As a user has it: byte code is kept between runs, and the stores lie in `folder`."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "STORAGE_BASE_PATH": str(folder / "data")}


def _cold_start(folder: Path, models: Path, runs: int) -> Figure:
    command = _command(folder, models, workflows.text_to_image(64, 4), "cold")
    env = _environment(folder)
    taken = interleaved(
        {
            "import torch": lambda: seconds_to_first_line(_IMPORT_TORCH),
            "picture": lambda: seconds_to_first_line(command, env),
        },
        runs,
    )
    torch, picture = (statistics.median(taken[name]) for name in ("import torch", "picture"))
    beyond = statistics.median(b - a for a, b in zip(taken["import torch"], taken["picture"], strict=True))
    return Figure(
        name="cold start to a saved picture (sd1_mini, 64x64, 4 steps), beyond `import torch`",
        value=beyond,
        unit="s",
        bound="0.8 s",
        holds=beyond <= 0.8,
        beside=f"whole process {picture:.2f} s, `import torch` {torch:.2f} s",
    )


def _in_process(folder: Path, runs: int) -> Iterator[Figure]:
    from runtime.build import build
    from runtime.request import JobRequest
    from runtime.settings import Settings

    worker = build(Settings.from_env(_environment(folder)))

    def run(workflow: workflows.Workflow) -> None:
        result = worker.run(JobRequest.parse({"workflow": workflow})[0])
        if result.status != "completed":
            raise RuntimeError(str(result.error))

    overhead = median_seconds(lambda place: run(workflows.empty_image(place + 1)), _OVERHEAD_RUNS) * 1000
    yield Figure(
        name="request overhead, `EmptyImage` 64x64 to `SaveImage` through `Worker.run`",
        value=overhead,
        unit="ms",
        bound="2 ms",
        holds=overhead <= 2,
        beside="SQLite and folder stores; median of 200",
    )
    for length, bound in ((900, 0.1), (10_000, 1.0)):
        graphs = [workflows.invert_chain(length, colour) for colour in range(1, runs + 2)]
        seconds = median_seconds(lambda place, graphs=graphs: run(graphs[place]), runs)  # type: ignore[misc]
        yield Figure(
            name=f"a chain of {length} `ImageInvert` on 8x8",
            value=seconds,
            unit="s",
            bound=f"{bound:g} s",
            holds=seconds <= bound,
            beside=f"{seconds / length * 1e6:.0f} µs a node",
        )
    worker.close()


def _sampling_speed(folder: Path, models: Path, runs: int) -> Figure:
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    ours = [sys.executable, "-m", "scripts.bench.steps_native", str(models)]
    theirs = [python, "-m", "scripts.bench.steps_comfyui", str(models)]
    taken = interleaved({"native": lambda: _printed(ours), "ComfyUI": lambda: _printed(theirs)}, runs)
    native, comfyui = (statistics.median(taken[name]) for name in ("native", "ComfyUI"))
    ratio = statistics.median(a / b for a, b in zip(taken["native"], taken["ComfyUI"], strict=True))
    return Figure(
        name="steps per second, sd1_mini at 256x256, against ComfyUI's",
        value=ratio,
        unit="times",
        bound="at least 1",
        holds=ratio >= 1,
        beside=f"native {native:.2f}, ComfyUI {comfyui:.2f} steps/s",
    )


def _printed(command: list[str]) -> float:
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    return float(answer.stdout.split()[-1])


def _peak_memory(folder: Path, models: Path) -> Figure:
    env = _environment(folder)
    command = _command(folder, models, workflows.text_to_image(64, 4), "memory")
    torch, whole = peak_bytes(_IMPORT_TORCH, env), peak_bytes(command, env)
    weights = 2 * (models / "checkpoints/sd1_mini.safetensors").stat().st_size  # float16 in the file, float32 on a CPU
    over = (whole - torch - weights) / 1e6
    return Figure(
        name="peak memory of a run beyond weights and `import torch`",
        value=over,
        unit="MB",
        bound="300 MB",
        holds=over <= 300,
        beside=f"whole {whole / 1e6:.0f}, `import torch` {torch / 1e6:.0f}, weights in float32 {weights / 1e6:.0f} MB",
    )


if __name__ == "__main__":
    sys.exit(main())
