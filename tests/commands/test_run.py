"""`comfyui-serverless run` as a user has it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.commands.run import main

NODES = """
import os, signal

class CtrlC:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "hidden": {"context": "CONTEXT"}}

    def run(self, image, context):
        context.save_images(image, "half")
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            context.step(1, 2)


NODE_CLASS_MAPPINGS = {"CtrlC": CtrlC}
"""


def graph(**inputs: Any) -> dict[str, Any]:
    size = {"width": 16, "height": 8, "batch_size": 1, "color": 0}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, **inputs}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "red"}},
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a command's settings in the environment, and its working folder."""
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "ctrl_c.py").write_text(NODES)
    for name in ("ENGINE", "INPUT_PATH", "COMFYUI_MODELS_PATH", "S3_BUCKET", "DYNAMODB_TABLE", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORAGE_BASE_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("MODELS_PATH", str(tmp_path))
    monkeypatch.setenv("NATIVE_NODES_PATH", str(tmp_path / "nodes"))
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def workflow(home: Path) -> Callable[..., str]:
    """Writes a workflow file and answers its name."""

    def write(nodes: Any, name: str = "a.json") -> str:
        (home / name).write_text(nodes if isinstance(nodes, str) else json.dumps(nodes))
        return name

    return write


Output = pytest.CaptureFixture[str]


def test_a_workflow_ends_with_its_picture_its_link_and_its_time(home: Path, workflow: Any, capsys: Output) -> None:
    assert main([workflow(graph()), "--output", "out"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("a.json: completed (job ")
    assert said[1] == "  image    out/red_00001_.png"
    assert said[2].startswith("  link     http://")
    assert said[3].startswith("  took     ")
    assert said[4].startswith("links answer while this runs")
    assert (home / "out" / "red_00001_.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_one_result_a_line_and_nothing_else(workflow: Any, capsys: Output) -> None:
    assert main([workflow(graph(), "a.json"), workflow(graph(width=32), "b.json"), "--json"]) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(result["status"], result["outputs"][0]["width"]) for result in results] == [
        ("completed", 16),
        ("completed", 32),
    ]


def test_workflows_run_one_after_the_other_in_one_warm_process(workflow: Any, capsys: Output) -> None:
    name = workflow(graph())
    main([name, name, "--json"])
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["cached_nodes"], second["cached_nodes"]) == ([], ["1"])


def test_values_may_be_set_as_json_or_as_text(workflow: Any, capsys: Output) -> None:
    assert main([workflow(graph()), "--json", "--set", "1.width=32", "--set", "2.filename_prefix=a cat"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert (output["width"], output["filename"]) == (32, "a cat_00001_.png")


def test_a_seed_is_set_everywhere(workflow: Any, capsys: Output) -> None:
    seeded = {**graph(), "3": {"class_type": "RandomNoise", "inputs": {"noise_seed": 1}}}
    assert main([workflow(seeded), "--json", "--seed", "7"]) == 0
    assert json.loads(capsys.readouterr().out)["seed_used"] == {"3": 7}


@pytest.mark.parametrize(
    "nodes",
    ["{", "[1]", "\ufeff", {"1": {"class_type": "Gone"}}, {}],
    ids=["broken", "list", "empty file", "unknown class", "no nodes"],
)
def test_one_workflow_that_fails_is_told_and_the_others_run(workflow: Any, capsys: Output, nodes: Any) -> None:
    assert main([workflow(nodes, "bad.json"), workflow(graph(), "good.json"), "--json"]) == 1
    bad, good = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (bad["status"], good["status"]) == ("failed", "completed")


def test_options_may_stand_between_workflows(workflow: Any, capsys: Output) -> None:
    first, second = workflow(graph(), "a.json"), workflow(graph(), "b.json")
    assert main(["--engine", "native", first, "--set", "1.color=7", second]) == 0
    assert "b.json: completed" in capsys.readouterr().out


def test_without_a_workflow_the_example_runs(home: Path, capsys: Output) -> None:
    main(["--set", "nobody.text=a"])
    assert capsys.readouterr().out.startswith("text_to_image.json: failed")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty; expected"), (b"hello", "is not JSON; expected"), (b"\xff\xd8\xff\xe0", "is no text; expected")],
    ids=["empty", "text", "a JPEG"],
)
def test_a_file_that_is_no_workflow_is_told_what_it_is(
    home: Path, capsys: Output, content: bytes, message: str
) -> None:
    (home / "a.json").write_bytes(content)
    assert main(["a.json"]) == 1
    assert f"a.json {message} a workflow's JSON, or a PNG" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(home: Path, capsys: Output) -> None:
    assert main(["gone.json"]) == 1
    assert "there is no file gone.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "gone"], "--models is 'gone'; expected a folder"),
        (["--input", "gone"], "--input is 'gone'; expected a folder"),
        (["--set", "text"], "--set is 'text'; expected NODE.INPUT=VALUE"),
        (["--set", "=5"], "--set is '=5'"),
    ],
    ids=["models", "input", "set", "empty key"],
)
def test_a_wrong_option_is_named(workflow: Any, capsys: Output, words: list[str], message: str) -> None:
    assert main([workflow(graph()), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_wrong_setting_is_named(workflow: Any, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_NODES", "none")
    assert main([workflow(graph())]) == 2
    assert "MAX_NODES is 'none'" in capsys.readouterr().err


def test_a_broken_file_of_nodes_does_not_stop_the_others(home: Path, workflow: Any, capsys: Output) -> None:
    (home / "nodes" / "broken.py").write_text("1 / 0")
    assert main([workflow(graph())]) == 0


def test_what_the_worker_cannot_be_built_of_is_told_without_a_traceback(
    workflow: Any, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE", "cuda:99")
    assert main([workflow(graph())]) == 2
    said = capsys.readouterr()
    assert "DEVICE is 'cuda:99'" in said.err
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize(
    "body",
    [{"prompt": graph()}, {"workflow": graph()}, {"input": {"workflow": graph()}}],
    ids=["ComfyUI's", "the HTTP API's", "RunPod's"],
)
def test_a_request_body_is_a_workflow_too(workflow: Any, capsys: Output, body: Any) -> None:
    assert main([workflow(body)]) == 0


def test_pictures_come_from_the_input_folder(home: Path, workflow: Any, capsys: Output) -> None:
    main([workflow(graph()), "--output", "pictures"])
    load = {**graph(), "1": {"class_type": "LoadImage", "inputs": {"image": "red_00001_.png"}}}
    assert main([workflow(load), "--input", "pictures", "--output", "out"]) == 0


def test_a_picture_runs_as_the_workflow_that_made_it(workflow: Any, capsys: Output) -> None:
    assert main([workflow(graph(width=24)), "--output", "out"]) == 0
    capsys.readouterr()
    assert main(["out/red_00001_.png", "--set", "1.height=40", "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert (output["width"], output["height"]) == (24, 40)


def test_a_picture_without_a_workflow_is_named(home: Path, capsys: Output) -> None:
    Image.new("RGB", (4, 4)).save(home / "plain.png")
    assert main(["plain.png"]) == 1
    assert "plain.png carries no workflow" in capsys.readouterr().out


def test_ctrl_c_cancels_the_job_says_so_and_leaves_no_half_file(home: Path, workflow: Any, capsys: Output) -> None:
    interrupted = {**graph(), "3": {"class_type": "CtrlC", "inputs": {"image": ["1", 0]}}}
    names = [workflow(interrupted, "a.json"), workflow(graph(), "b.json")]
    assert main([*names, "--output", "out"]) == 130
    said = capsys.readouterr()
    assert "cancelling" in said.err
    assert "a.json: cancelled" in said.out
    assert "b.json" not in said.out
    assert not (home / "out").exists()
    assert not [path for path in (home / "data").rglob("*.png") if path.is_file()]
