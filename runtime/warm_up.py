"""One workflow run before the first job, so that no job pays for what happens once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from runtime.cancellation import CancelFlag
from runtime.engines.choice import Engines
from runtime.engines.protocol import FileOutput, Picture, Run
from runtime.errors import ServerlessError, SettingsInvalid
from runtime.graph.workflow import parse_workflow, read_json
from runtime.progress import ignore_progress
from runtime.workspace import Workspace

_log = logging.getLogger(__name__)


def warm_up(engines: Engines, path: Path, *, workspace_root: Path | None, shared_inputs: Sequence[Path]) -> float:
    """Run the workflow in the file at `path`, its outputs thrown away; the seconds that it took.

    Raises SettingsInvalid where it cannot be read or does not run: a worker that fails it would fail jobs.
    """
    begun = time.perf_counter()
    try:
        graph = parse_workflow(read_json(path.read_text(encoding="utf-8")))
        engine = engines.choose(graph, None)
        with Workspace(root=workspace_root, shared_inputs=shared_inputs) as files:
            report = engine.check(graph, files)
            report.raise_if_rejected()
            run = Run(
                job_id="warm-up",
                tenant="warm-up",
                files=files,
                sink=_Nowhere(),
                flag=CancelFlag(),
                on_progress=ignore_progress,
            )
            engine.execute(report, run)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"WARMUP_WORKFLOW is {str(path)!r}, which cannot be read: {exc}") from exc
    except ServerlessError as exc:
        raise SettingsInvalid(f"the workflow {path} (WARMUP_WORKFLOW) does not run: {exc.message}") from exc
    seconds = time.perf_counter() - begun
    _log.info("warmed up by %s in %.2f s", path, seconds)
    return seconds


class _Nowhere:
    """Takes outputs and keeps none."""

    def picture(self, picture: Picture) -> str:
        return f"{picture.filename_prefix}_{picture.index}.png"

    def file(self, output: FileOutput) -> str:
        return f"{output.filename_prefix}_{output.index}{output.suffix}"
