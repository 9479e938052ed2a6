from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.models.manifest import CustomNode
from scripts.image.custom_nodes import NodesFailed, clone, install, licence, main


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A repository with two commits, and the first one's hash."""
    folder = tmp_path / "remote" / "ComfyUI-Nodes.git"
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (folder / "LICENSE").write_text("\nMIT License\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    first = git(folder, "rev-parse", "HEAD")
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {1: 2}\n")
    git(folder, "commit", "-qam", "two")
    return folder, first


def node(folder: Path, commit: str) -> CustomNode:
    return CustomNode.model_construct(url=str(folder), commit=commit)  # a path is no address that a manifest takes


def test_a_package_is_cloned_at_its_commit(repository: tuple[Path, str], tmp_path: Path) -> None:
    folder = clone(node(*repository), tmp_path / "custom_nodes")
    assert folder == tmp_path / "custom_nodes" / "ComfyUI-Nodes"
    assert (folder / "__init__.py").read_text() == "NODE_CLASS_MAPPINGS = {}\n"
    assert licence(folder) == "MIT License"


def test_a_commit_that_is_not_there_fails_by_name(repository: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(NodesFailed, match=r"ComfyUI-Nodes\.git at ffff"):
        clone(node(repository[0], "f" * 40), tmp_path / "custom_nodes")


def test_two_packages_of_one_name_cannot_stand_together(repository: tuple[Path, str], tmp_path: Path) -> None:
    clone(node(*repository), tmp_path)
    with pytest.raises(NodesFailed, match="there is a ComfyUI-Nodes already"):
        clone(node(*repository), tmp_path)


def test_requirements_that_do_not_go_together_fail_with_both_sides_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, wanted in zip(folders, ("packaging==1.0", "packaging==2.0"), strict=True):
        folder.mkdir()
        (folder / "requirements.txt").write_text(f"{wanted}\n")
    with pytest.raises(NodesFailed, match=r"requirements of a, b do not go together"):
        install(folders)


def test_packages_without_requirements_need_nothing(tmp_path: Path) -> None:
    install([tmp_path])
    assert licence(tmp_path).startswith("no licence file")


def test_a_manifest_without_nodes_installs_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("version: 1\ncustom_nodes: []\n")
    assert main(["--manifest", str(tmp_path / "m.yaml"), "--comfyui", str(tmp_path)]) == 0


def test_a_manifest_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.yaml").write_text("version: 9\n")
    assert main(["--manifest", str(tmp_path / "m.yaml"), "--comfyui", str(tmp_path)]) == 1
    assert "version" in capsys.readouterr().err
