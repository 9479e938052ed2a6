from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.artifacts.local import FolderArtifactStore
from runtime.commands.placing import place_outputs
from runtime.result import JobResult, Output


@pytest.fixture
def store(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path / "store", base_url="http://localhost")


def result(store: FolderArtifactStore, *outputs: dict[str, Any]) -> JobResult:
    """A job whose outputs lie in the store; each holds its own key."""
    made = []
    for number, facts in enumerate(outputs):
        key = f"outputs/{number}"
        store.put(key, key.encode(), "image/png")
        plain = {"node_id": "9", "kind": "image", "content_type": "image/png", "size_bytes": 1, "sha256": "0"}
        made.append(Output(**{**plain, "key": key, **facts}))
    return JobResult(job_id="a", status="completed", outputs=tuple(made))


def test_outputs_are_copied_under_their_names(store: FolderArtifactStore, tmp_path: Path) -> None:
    made = result(store, {"filename": "a_00001_.png"}, {"filename": "b.latent", "subfolder": "latents/x"})
    placed = place_outputs(made, store, tmp_path / "out")
    assert placed == {"outputs/0": tmp_path / "out/a_00001_.png", "outputs/1": tmp_path / "out/latents/x/b.latent"}
    assert [path.read_bytes() for path in placed.values()] == [b"outputs/0", b"outputs/1"]


@pytest.mark.parametrize(
    ("name", "taken", "next_name"),
    [
        ("a_00001_.png", ["a_00001_.png"], "a_00002_.png"),
        ("a_00001_.png", ["a_00001_.png", "a_00002_.png", "a_00003_.png"], "a_00004_.png"),
        ("a_00001_.png", ["a_00002_.png"], "a_00001_.png"),
        ("a_99999_.png", ["a_99999_.png"], "a_100000_.png"),
        ("a.png", ["a.png"], "a_00001_.png"),
    ],
    ids=["next", "last", "free", "six digits", "without a number"],
)
def test_a_name_that_is_taken_is_counted_on(
    store: FolderArtifactStore, tmp_path: Path, name: str, taken: list[str], next_name: str
) -> None:
    for each in taken:
        (tmp_path / each).write_text("mine")
    placed = place_outputs(result(store, {"filename": name}), store, tmp_path)
    assert placed["outputs/0"].name == next_name
    assert all((tmp_path / each).read_text() == "mine" for each in taken)


def test_previews_are_not_copied(store: FolderArtifactStore, tmp_path: Path) -> None:
    assert place_outputs(result(store, {"filename": "a.png", "temporary": True}), store, tmp_path / "out") == {}
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_store_no_more_is_left_out(store: FolderArtifactStore, tmp_path: Path) -> None:
    made = result(store, {"filename": "a.png"})
    store.delete("outputs/0")
    assert place_outputs(made, store, tmp_path / "out") == {}


def test_no_half_file_stays_where_writing_fails(
    store: FolderArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(f"{target} cannot be made")

    outputs = result(store, {"filename": "a.png"})
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        place_outputs(outputs, store, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_system_without_links_gets_the_files_too(
    store: FolderArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        if Path(target).exists():
            raise FileExistsError(target)
        raise OSError(errno.ENOTSUP, "no links here")

    outputs = result(store, {"filename": "a_00001_.png"})
    monkeypatch.setattr(os, "link", refuse)
    placed = [path for _ in range(2) for path in place_outputs(outputs, store, tmp_path / "out").values()]
    assert [path.name for path in placed] == ["a_00001_.png", "a_00002_.png"]
