from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.image import asked_nodes, custom_nodes
from scripts.image.custom_nodes import NodesFailed, clone, install, licence, main


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[str, str]:
    """Where a repository with two commits is, and the first one's hash."""
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
    return str(folder), first


def test_a_package_is_cloned_at_its_commit(repository: tuple[str, str], tmp_path: Path) -> None:
    folder = clone(*repository, tmp_path / "custom_nodes")
    assert folder == tmp_path / "custom_nodes" / "ComfyUI-Nodes"
    assert (folder / "__init__.py").read_text() == "NODE_CLASS_MAPPINGS = {}\n"
    assert licence(folder) == "MIT License"


def test_a_commit_that_is_not_there_fails_by_name(repository: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(NodesFailed, match=r"ComfyUI-Nodes\.git at ffff"):
        clone(repository[0], "f" * 40, tmp_path / "custom_nodes")


def test_two_packages_of_one_name_cannot_stand_together(repository: tuple[str, str], tmp_path: Path) -> None:
    clone(*repository, tmp_path)
    with pytest.raises(NodesFailed, match="there is a ComfyUI-Nodes already"):
        clone(*repository, tmp_path)


def wheel(folder: Path, name: str, version: str) -> None:
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")


def test_requirements_that_do_not_go_together_fail_with_both_sides_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, version in zip(folders, ("1.0", "2.0"), strict=True):
        wheel(tmp_path, "nobodys_wheel", version)
        folder.mkdir()
        (folder / "requirements.txt").write_text(f"nobodys-wheel=={version}\n")
    with pytest.raises(NodesFailed, match=r"a asks for nobodys-wheel==1\.0; b asks for nobodys-wheel==2\.0"):
        install(folders)


def test_packages_without_requirements_need_nothing(tmp_path: Path) -> None:
    install([tmp_path])
    assert licence(tmp_path).startswith("no licence file")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("nodes", ["[]", f"[{{url: https://github.com/a/ComfyUI-B, commit: {COMMIT}}}]"])
def test_a_line_says_where_a_node_is_and_which_commit(
    tmp_path: Path, nodes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.yaml").write_text(f"version: 1\ncustom_nodes: {nodes}\n")
    assert asked_nodes.main([str(tmp_path / "m.yaml")]) == 0
    assert capsys.readouterr().out == ("" if nodes == "[]" else f"https://github.com/a/ComfyUI-B {COMMIT}\n")


def test_a_manifest_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.yaml").write_text("version: 9\n")
    assert asked_nodes.main([str(tmp_path / "m.yaml")]) == 1
    assert "version" in capsys.readouterr().err


def test_what_is_asked_for_is_installed_and_its_licence_told(
    repository: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.txt").write_text(f"{' '.join(repository)}\n")
    assert main(["--asked", str(tmp_path / "nodes.txt"), "--comfyui", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "ComfyUI-Nodes: MIT License\n"


def test_it_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run([sys.executable, "-S", custom_nodes.__file__, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
