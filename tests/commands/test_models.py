"""`comfyui-serverless models`: each verb, kills in the middle of a sync, many workers at once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.commands.models import main
from runtime.models.manifest_file import load_manifest
from runtime.models.sync.volume import USE_LEASE_S

sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "sync"))  # for moody_server, which is no test

from moody_server import BODY, SHA256, FileServer, running

LARGE = random.Random(2).randbytes((24 << 20) + 777)
COMMAND = [sys.executable, "-c", "import sys; from runtime.commands.models import main; sys.exit(main(sys.argv[1:]))"]
ALL_OF_LARGE = {f"bytes={start}-{min(start + (8 << 20), len(LARGE)) - 1}" for start in range(0, len(LARGE), 8 << 20)}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running(FileServer()) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELS_PATH", str(tmp_path / "volume"))
    monkeypatch.setenv("MODELS_MANIFEST", str(tmp_path / "manifest.yaml"))


@pytest.fixture
def write(tmp_path: Path, server: FileServer) -> Callable[..., None]:
    """Write a manifest of models with these values, of the server's file where nothing else is said."""

    def write(*models: dict[str, Any]) -> None:
        common = {"folder": "checkpoints", "sources": [f"{server.url}/a"], "sha256": SHA256, "size_bytes": len(BODY)}
        entries = [{"name": "a.safetensors", **common, **model} for model in models]
        (tmp_path / "manifest.yaml").write_text(json.dumps({"models": entries}))

    return write


def on_volume(tmp_path: Path) -> list[str]:
    root = tmp_path / "volume"
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if path.parts[0] != ".volume")


def long_unused(tmp_path: Path) -> None:
    """As if every model had been fetched and used long ago."""
    for record in (tmp_path / "volume" / ".volume" / "records").rglob("*.json"):
        os.utime(record, (time.time() - 2 * USE_LEASE_S,) * 2)


def test_sync_fetches_what_lacks_and_says_so(
    write: Callable[..., None], tmp_path: Path, server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    write({}, {"name": "b.safetensors", "folder": "loras"}, {"name": "c.safetensors", "deployments": ["other"]})
    assert main(["sync"]) == 0
    assert on_volume(tmp_path) == ["checkpoints/a.safetensors", "loras/b.safetensors"]
    assert "checkpoints/a.safetensors: fetched\n" in capsys.readouterr().err
    asked = len(server.requests)
    assert main(["sync"]) == 0
    assert "checkpoints/a.safetensors: there\n" in capsys.readouterr().err
    assert len(server.requests) == asked


def test_sync_takes_named_models_of_whatever_deployment(write: Callable[..., None], tmp_path: Path) -> None:
    write({"deployments": ["other"], "aliases": ["the a"]}, {"name": "b.safetensors"})
    assert main(["sync", "the a"]) == 0
    assert on_volume(tmp_path) == ["checkpoints/a.safetensors"]


def test_sync_goes_on_after_a_model_that_fails(
    write: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write({"sources": ["file:///absent"]}, {"name": "b.safetensors"})
    assert main(["sync"]) == 1
    assert on_volume(tmp_path) == ["checkpoints/b.safetensors"]
    assert "checkpoints/a.safetensors: model_missing: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sync", "b.safetensors"], "the manifest has no model 'b.safetensors'; near names: a.safetensors"),
        (["rm", "a.safetensors"], "the volume has no model 'a.safetensors'"),
        (["rm", "checkpoints/../../manifest.yaml"], "the volume has no model"),
        (["add", "ftp://host/a"], "expected one of hf://"),
        (["add", "https://host/a.safetensors"], "says nothing of a folder; give --folder"),
        (["add", "https://host/a.txt", "--folder", "loras", "--name", "a.txt"], "none of the suffixes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_done_is_told(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    write({})
    assert main(words) in (1, 2)
    assert message in capsys.readouterr().err


def test_ls_tells_the_state_of_every_model(
    write: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["ready", "wrong", "unchecked", "absent"]
    write(*({"name": f"{name}.safetensors", "pinned": name == "ready"} for name in names))
    main(["sync", "ready.safetensors"])
    folder = tmp_path / "volume" / "checkpoints"
    (folder / "wrong.safetensors").write_bytes(b"short")
    (folder / "unchecked.safetensors").write_bytes(BODY)
    (folder / "unlisted.safetensors").write_bytes(b"mine")
    capsys.readouterr()
    assert main(["ls", "--json"]) == 0
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(item["path"], item["state"]) for item in items] == [
        (f"checkpoints/{name}.safetensors", name) for name in [*names, "unlisted"]
    ]
    assert main(["ls"]) == 0
    shown = capsys.readouterr().out
    assert "ready      1.31 MB  now   checkpoints/ready.safetensors      pinned\n" in shown
    assert shown.endswith("4 of 5 on the volume, 2.62 MB\n")


def test_check_names_file_line_and_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.yaml").write_text("models:\n  - name: a.safetensors\n    folder: vae\n    sha256: x\n")
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert f"{tmp_path}/manifest.yaml:4: models[0].sha256: 'x' does not match" in out
    assert f"{tmp_path}/manifest.yaml:2: models[0].sources: is missing" in out


def test_check_of_the_volume_reads_every_file(
    write: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write({}, {"name": "b.safetensors"}, {"name": "c.safetensors"})
    main(["sync", "a.safetensors", "b.safetensors"])
    assert main(["check", "--volume"]) == 0
    file = tmp_path / "volume" / "checkpoints" / "b.safetensors"
    file.write_bytes(BODY[:-1] + b"!")
    assert main(["check", "--volume"]) == 1
    err = capsys.readouterr().err
    assert "checkpoints/a.safetensors: right\n" in err
    assert f"expected {SHA256}\n" in err
    assert "checkpoints/c.safetensors: absent\n" in err
    assert main(["sync", "b.safetensors"]) == 0
    assert file.read_bytes() == BODY


def test_rm_removes_what_is_neither_pinned_nor_in_use(
    write: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write({}, {"name": "b.safetensors", "pinned": True})
    main(["sync"])
    assert main(["rm", "a.safetensors"]) == 2
    assert "in use within the last 15 minutes" in capsys.readouterr().err
    long_unused(tmp_path)
    assert main(["rm", "a.safetensors"]) == 0
    assert main(["rm", "b.safetensors"]) == 2
    assert on_volume(tmp_path) == ["checkpoints/b.safetensors"]
    assert main(["rm", "--force", "checkpoints/b.safetensors"]) == 0
    assert on_volume(tmp_path) == []


def test_add_fetches_and_writes_an_entry_and_leaves_every_comment(tmp_path: Path, server: FileServer) -> None:
    manifest = tmp_path / "manifest.yaml"
    before = (
        "# ours\nmodels:\n- name: x.pt  # old\n  folder: vae\n  sources: ['https://h/x']\n"
        f"  sha256: {SHA256}\n\n# nodes\ncustom_nodes: []\n"
    )
    manifest.write_text(before)
    assert main(["add", f"{server.url}/loras/My%20style.safetensors", "--licence", 'CC "BY": 4']) == 0
    added = load_manifest(manifest).models[1]
    assert (added.path, added.sha256, added.size_bytes) == ("loras/My style.safetensors", SHA256, len(BODY))
    assert added.licence == 'CC "BY": 4'
    assert [line for line in before.splitlines() if line not in manifest.read_text().splitlines()] == []
    assert main(["sync"]) == 1  # x.pt has no server; what was added is there
    assert on_volume(tmp_path) == ["loras/My style.safetensors"]


@pytest.mark.parametrize("before", ["", "models: []\n", "# a remark\nversion: 1\n", "models:\n"], ids=ascii)
def test_add_begins_a_list_where_there_is_none(tmp_path: Path, server: FileServer, before: str) -> None:
    (tmp_path / "manifest.yaml").write_text(before)
    assert main(["add", f"{server.url}/a.safetensors", "--folder", "checkpoints"]) == 0
    assert [model.name for model in load_manifest(tmp_path / "manifest.yaml").models] == ["a.safetensors"]


def test_add_refuses_a_name_that_is_taken_before_anything_is_fetched(
    write: Callable[..., None], server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    write({})
    assert main(["add", f"{server.url}/a.safetensors", "--folder", "checkpoints"]) == 2
    assert server.ranged == []


def test_ctrl_c_stops_a_sync_and_the_next_one_goes_on(
    write: Callable[..., None], tmp_path: Path, server: FileServer
) -> None:
    write(large(server))
    process = start()
    server.on_body = lambda: process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    server.on_body = lambda: None
    assert start().wait() == 0
    assert (tmp_path / "volume" / "checkpoints" / "a.safetensors").read_bytes() == LARGE


def large(server: FileServer, **changed: Any) -> dict[str, Any]:
    server.body = LARGE
    return {"sha256": hashlib.sha256(LARGE).hexdigest(), "size_bytes": len(LARGE), **changed}


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, "sync"], stderr=subprocess.DEVNULL)


class Killer:
    """Ends a process with SIGKILL a moment after it has asked for its `at`th range."""

    def __init__(self, at: int, after_s: float) -> None:
        self._at = at
        self._after_s = after_s
        self._count = 0
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        with self._lock:
            self._count += 1
            is_due = self._count == self._at and self.process is not None
        if is_due:
            threading.Timer(self._after_s, self.process.kill).start()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_sync_that_is_killed_anywhere_gives_the_right_file_when_it_is_run_again(
    write: Callable[..., None], tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    write(large(server))
    monkeypatch.setenv("MODEL_FETCH_CONNECTIONS", "2")
    chance = random.Random(count)
    killed = resumed = 0
    for number in range(count):
        volume = tmp_path / f"volume-{number}"
        monkeypatch.setenv("MODELS_PATH", str(volume))
        target = volume / "checkpoints" / "a.safetensors"
        server.on_body = killer = Killer(chance.randint(1, len(ALL_OF_LARGE)), chance.uniform(0, 0.05))
        killer.process = start()
        killed += killer.process.wait() == -signal.SIGKILL
        assert not target.exists() or target.read_bytes() == LARGE
        server.on_body = lambda: None
        asked = len(server.ranged)
        assert start().wait() == 0
        resumed += len(server.ranged) - asked < len(ALL_OF_LARGE)
        assert target.read_bytes() == LARGE
        assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert killed > count / 2
    assert resumed > count / 4


def test_eight_processes_that_sync_one_volume_at_once_download_each_file_once(
    write: Callable[..., None], tmp_path: Path, server: FileServer
) -> None:
    names = ["a", "b"]
    write(*(large(server, name=f"{name}.safetensors", sources=[f"{server.url}/{name}"]) for name in names))
    processes = [start() for _ in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    content = sorted((path, asked) for path, asked, _ in server.requests if asked in ALL_OF_LARGE)
    assert content == sorted((f"/{name}", asked) for name in names for asked in ALL_OF_LARGE)
    assert all((tmp_path / "volume" / "checkpoints" / f"{name}.safetensors").read_bytes() == LARGE for name in names)


def test_a_verb_does_not_import_torch() -> None:
    script = "import sys, runtime.commands.models; print('torch' in sys.modules, 'boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
