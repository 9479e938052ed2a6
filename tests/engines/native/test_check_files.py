from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.engines.limits import GraphLimits
from runtime.engines.native.check_files import CheckFiles
from runtime.graph.node_type import read_node_type
from runtime.nodes.protocol import InputFiles, ModelFiles
from runtime.workspace import Workspace


class Volume:
    """Two checkpoints; it counts how often it is listed."""

    listings = 0

    def names(self, kind: str) -> list[str]:
        self.listings += 1
        return ["a.safetensors", "sub/b.safetensors"] if kind == "checkpoints" else []


@pytest.fixture
def volume() -> Volume:
    return Volume()


@pytest.fixture
def files(tmp_path: Path, volume: Volume) -> Iterator[CheckFiles]:
    with Workspace(root=tmp_path) as workspace:
        workspace.new_input("a.png").touch()
        workspace.new_input("sub/b.png").touch()
        yield CheckFiles(volume, workspace, GraphLimits())


@pytest.fixture
def spec(node_class: Any) -> Any:
    inputs = {"ckpt": (ModelFiles("checkpoints"),), "image": (InputFiles("image"),)}
    return read_node_type("Node", node_class(lambda: (), required=inputs)).inputs


def test_a_models_combo_offers_the_names_on_the_volume(files: Any, spec: Any) -> None:
    assert files.options(spec["ckpt"]) == ["a.safetensors", "sub/b.safetensors"]


def test_an_input_files_combo_offers_the_jobs_files(files: Any, spec: Any) -> None:
    assert files.options(spec["image"]) == ["a.png", "sub/b.png"]


@pytest.mark.parametrize("name", ["a.png", "sub/b.png", "a.png [input]"])
def test_a_file_of_the_job_is_there(files: Any, spec: Any, name: str) -> None:
    assert files.has(spec["image"], name)


@pytest.mark.parametrize("name", ["b.png", "../a.png", "/etc/passwd", "", "a.png [output]", "a\x00.png", "sub"])
def test_another_file_is_not(files: Any, spec: Any, name: str) -> None:
    assert not files.has(spec["image"], name)


@pytest.mark.parametrize("name", ["A.safetensors", "../checkpoints/a.safetensors", "", "b.safetensors"])
def test_a_models_name_must_be_one_that_is_offered(files: Any, spec: Any, name: str) -> None:
    assert not files.has(spec["ckpt"], name)


def test_a_folder_is_listed_once_however_often_it_is_asked_about(files: Any, spec: Any, volume: Volume) -> None:
    for number in range(1000):
        assert not files.has(spec["ckpt"], f"{number}.safetensors")
    assert volume.listings == 1
