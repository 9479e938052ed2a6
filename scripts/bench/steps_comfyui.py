"""Print how many sampling steps a second ComfyUI makes: `python -m scripts.bench.steps_comfyui MODELS`.

Runs in the interpreter that has ComfyUI's requirements, on the checkout at COMFYUI_PATH, in process and on the CPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.bench import workflows
from scripts.bench.steps_native import SIZE, STEPS
from scripts.parity.case_file import Case
from scripts.parity.checkout import Checkout


def main() -> None:
    """Run one graph to warm up and one to measure; only the sampler's own time counts."""
    with tempfile.TemporaryDirectory(prefix="bench-") as base:
        checkout = Checkout(Path(os.environ["COMFYUI_PATH"]), Path(base))
        seconds = _timed_sampler()
        for seed in (1, 2):
            workflow = workflows.text_to_image(SIZE, STEPS, seed)
            checkout.run(Case(name=f"steps{seed}", workflow=workflow, capture={"latent": ("ks", 0)}))
    print(STEPS / seconds[-1])


def _timed_sampler() -> list[float]:
    """Put a clock around KSampler's function; the list that is answered holds the seconds of each call."""
    import nodes  # type: ignore[import-not-found]  # the checkout's

    seconds: list[float] = []
    sample = nodes.KSampler.sample

    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        result = sample(*arguments, **named)
        seconds.append(time.perf_counter() - started)
        return result

    nodes.KSampler.sample = timed
    return seconds


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    main()
