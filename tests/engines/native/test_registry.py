from __future__ import annotations

from pathlib import Path

import pytest

from runtime.engines.native.registry import NodeRegistry, load_node_folder

MAPPING = "NODE_CLASS_MAPPINGS = {'%s': type('N', (), {'FUNCTION': 'run'})}\n"


def test_every_file_and_package_of_a_folder_brings_its_classes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(MAPPING % "A")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text(MAPPING % "B")
    (tmp_path / "notes.txt").write_text("no code")
    (tmp_path / "_private.py").write_text("raise RuntimeError")
    assert list(load_node_folder(tmp_path)) == ["A", "B"]


def test_a_package_may_import_its_own_modules(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "part.py").write_text("name = 'C'\n")
    (tmp_path / "pack" / "__init__.py").write_text("from .part import name\n" + MAPPING.replace("'%s'", "name"))
    assert list(load_node_folder(tmp_path)) == ["C"]


def test_a_file_without_classes_brings_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "empty.py").write_text("")
    assert load_node_folder(tmp_path) == {}
    assert "empty.py has no NODE_CLASS_MAPPINGS" in caplog.text


@pytest.mark.parametrize("source", ["import nowhere_at_all", "def", "1 / 0"], ids=["import", "syntax", "raises"])
def test_a_file_that_does_not_import_is_named_and_the_others_load(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str
) -> None:
    (tmp_path / "broken.py").write_text(source)
    (tmp_path / "fine.py").write_text("class A: pass\nNODE_CLASS_MAPPINGS = {'A': A}")
    assert list(load_node_folder(tmp_path)) == ["A"]
    assert "broken.py does not import" in caplog.text


def test_a_class_is_read_when_it_is_first_asked_for() -> None:
    reads: list[int] = []

    class Lazy:
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, object]:
            reads.append(1)
            return {}

    registry = NodeRegistry({"Lazy": Lazy})
    assert (registry.names(), reads) == (["Lazy"], [])
    assert registry.get("Lazy") is registry.get("Lazy")
    assert (registry.get("Gone"), reads) == (None, [1])
