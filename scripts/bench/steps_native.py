"""Print how many sampling steps a second the native engine makes: `python -m scripts.bench.steps_native MODELS`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from scripts.bench import workflows

SIZE = 256
STEPS = 20


def main(models: Path) -> None:
    """Run one graph to warm up and one to measure; only the sampler's own time counts."""
    from runtime.build import build
    from runtime.request import JobRequest
    from runtime.settings import Settings

    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        worker = build(Settings.from_env({"MODELS_PATH": str(models), "STORAGE_BASE_PATH": data}))
        for seed in (1, 2):
            result = worker.run(JobRequest.parse({"workflow": workflows.text_to_image(SIZE, STEPS, seed)})[0])
        worker.close()
    print(STEPS / (result.timings_ms.nodes["ks"] / 1000))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
