"""comfy-cli, which runs a workflow on a ComfyUI and follows it by its websocket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

COMFY = shutil.which(os.environ.get("COMFY_CLI", Path(sys.executable).parent / "comfy"))


@pytest.mark.slow
@pytest.mark.skipif(
    COMFY is None, reason="comfy-cli is not installed: `./scripts/test --all` does it, or COMFY_CLI names it"
)
def test_comfy_cli_runs_a_workflow_and_names_its_picture(
    address: str, sampling: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "workflow.json").write_text(json.dumps(sampling(4)))
    where = httpx.URL(address)
    command = [str(COMFY), "--skip-prompt", "--no-enable-telemetry", "run", "--wait", "--verbose"]
    command += ["--workflow", "workflow.json", "--host", where.host, "--port", str(where.port)]
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])["data"]
    assert told["status"] == "completed"
    assert {"4", "6"} <= set(told["executed_node_ids"])
    assert httpx.get(told["outputs"][0]).content[:8] == b"\x89PNG\r\n\x1a\n"
