from __future__ import annotations

import builtins
from typing import Any

import pytest
from comfyui_serverless import Client
from comfyui_serverless.progress_bar import done_share
from comfyui_serverless.states import JobState, Progress


def state(status: str = "running", **progress: int) -> JobState:
    return JobState(job_id="j", status=status, progress=Progress(class_type="KSampler", **progress))


@pytest.mark.parametrize(
    ("at", "share"),
    [
        (JobState(job_id="j", status="pending"), 0.0),
        (state(nodes_total=4), 0.0),
        (state(nodes_total=4, nodes_done=2), 0.5),
        (state(nodes_total=4, nodes_done=2, step=10, steps=20), 0.625),
        (state("completed", nodes_total=4, nodes_done=3), 1.0),
    ],
)
def test_a_node_counts_by_its_steps(at: JobState, share: float) -> None:
    assert done_share(at) == share


@pytest.mark.parametrize("has_tqdm", [True, False], ids=["tqdm", "none"])
def test_a_result_is_waited_for_with_a_bar(
    deployment: str,
    workflow: dict[str, Any],
    has_tqdm: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not has_tqdm:
        real = builtins.__import__

        def without(name: str, *rest: Any) -> Any:
            if name.startswith("tqdm"):
                raise ModuleNotFoundError(name)
            return real(name, *rest)

        monkeypatch.setattr(builtins, "__import__", without)
    with Client(deployment) as client:
        job = client.submit(workflow, job_id=f"bar-{has_tqdm}")
        assert job.result(progress=True).images
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert "completed" in shown


def test_a_notebook_shows_the_picture_itself(deployment: str, workflow: dict[str, Any]) -> None:
    with Client(deployment) as client:
        shown = client.run(workflow).images[0]._repr_mimebundle_()
    assert shown["text/html"].startswith('<img src="data:image/png;base64,iVBOR')
    assert "http" not in shown["text/plain"]
