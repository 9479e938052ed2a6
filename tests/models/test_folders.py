from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import InvalidRequest, ModelMissing
from runtime.models.folders import ModelFolders, near_names

Put = Callable[[str], Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def put(root: Path) -> Put:
    """`put("vae/a.safetensors")`: a file below the root."""

    def write(name: str) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        return path

    return write


@pytest.fixture
def folders(root: Path) -> ModelFolders:
    return ModelFolders([root])


def test_models_are_listed_by_their_path_below_the_folder_and_sorted(put: Put, folders: ModelFolders) -> None:
    for name in ("z.safetensors", "a.ckpt", "sdxl/base.safetensors", "notes.txt", ".git/x.safetensors"):
        put(f"checkpoints/{name}")
    assert folders.names("checkpoints") == ["a.ckpt", "sdxl/base.safetensors", "z.safetensors"]


def test_a_folder_that_does_not_exist_is_empty(folders: ModelFolders) -> None:
    assert folders.names("checkpoints") == []


@pytest.mark.parametrize(
    ("kind", "folder"),
    [("clip", "text_encoders"), ("text_encoders", "clip"), ("unet", "diffusion_models"), ("controlnet", "t2i_adapter")],
)
def test_a_kind_may_lie_under_its_other_name(put: Put, folders: ModelFolders, kind: str, folder: str) -> None:
    path = put(f"{folder}/a.safetensors")
    assert folders.names(kind) == ["a.safetensors"]
    assert folders.path(kind, "a.safetensors") == path


def test_the_first_root_counts_where_two_have_a_name(tmp_path: Path, put: Put, root: Path) -> None:
    other = tmp_path / "other"
    (other / "vae").mkdir(parents=True)
    (other / "vae" / "a.safetensors").touch()
    put("vae/a.safetensors")
    assert ModelFolders([other, root]).path("vae", "a.safetensors") == other / "vae" / "a.safetensors"


def test_a_missing_model_is_answered_with_the_near_names_and_the_folder(put: Put, folders: ModelFolders) -> None:
    folder = put("checkpoints/sd_xl_base_1.0.safetensors").parent
    put("checkpoints/unrelated.safetensors")
    with pytest.raises(ModelMissing, match=r"sd_xl_base_1\.0\.safetensors") as missing:
        folders.path("checkpoints", "SDXL_base_1.0.safetensors")
    assert str(folder) in missing.value.message


def test_a_file_that_is_no_model_is_missing(put: Put, folders: ModelFolders) -> None:
    put("checkpoints/secret.txt")
    with pytest.raises(ModelMissing):
        folders.path("checkpoints", "secret.txt")


@pytest.mark.parametrize(
    "name",
    [
        "../vae/a.safetensors",
        "sub/../../vae/a.safetensors",
        "/etc/passwd.safetensors",
        "./a.safetensors",
        "sub//a.safetensors",
        "..\\vae\\a.safetensors",
        "C:a.safetensors",
        "a.safetensors\0.png",
        "\ud800.safetensors",
        "",
        "x" * 256,
        "é" * 128,
    ],
    ids=ascii,
)
def test_a_name_that_is_no_path_downwards_is_refused(put: Put, folders: ModelFolders, name: str) -> None:
    put("vae/a.safetensors")
    with pytest.raises(InvalidRequest):
        folders.path("checkpoints", name)


def test_a_link_out_of_the_roots_is_as_good_as_absent(tmp_path: Path, put: Put, folders: ModelFolders) -> None:
    outside = tmp_path / "outside.safetensors"
    outside.touch()
    put("checkpoints/a.safetensors").with_name("link.safetensors").symlink_to(outside)
    assert folders.names("checkpoints") == ["a.safetensors"]
    with pytest.raises(ModelMissing):
        folders.path("checkpoints", "link.safetensors")


def test_a_folder_linked_out_of_the_roots_is_as_good_as_absent(tmp_path: Path, put: Put, folders: ModelFolders) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.safetensors").touch()
    (put("checkpoints/a.safetensors").parent / "linked").symlink_to(tmp_path / "outside")
    assert folders.names("checkpoints") == ["a.safetensors"]
    with pytest.raises(ModelMissing):
        folders.path("checkpoints", "linked/b.safetensors")


def test_a_link_to_another_file_below_a_root_is_followed(put: Put, folders: ModelFolders) -> None:
    blob = put("blobs/0123.safetensors")
    link = put("checkpoints/a.safetensors").with_name("link.safetensors")
    link.symlink_to(blob)
    assert folders.names("checkpoints") == ["a.safetensors", "link.safetensors"]
    assert folders.path("checkpoints", "link.safetensors") == link


def test_a_root_that_is_a_link_itself_serves(tmp_path: Path, put: Put, root: Path) -> None:
    put("vae/a.safetensors")
    (tmp_path / "volume").symlink_to(root)
    assert ModelFolders([tmp_path / "volume"]).path("vae", "a.safetensors").is_file()


def test_a_link_to_a_folder_above_does_not_go_round(put: Put, folders: ModelFolders) -> None:
    folder = put("checkpoints/a.safetensors").parent
    (folder / "again").symlink_to(folder)
    assert folders.names("checkpoints") == ["a.safetensors"]


def test_an_unknown_kind_is_refused(folders: ModelFolders) -> None:
    with pytest.raises(InvalidRequest, match="checkpoints"):
        folders.names("weights")


def test_near_names_come_nearest_first_whatever_their_case() -> None:
    names = ["dreamshaper_8.safetensors", "DreamShaper_7.safetensors", "sd15.safetensors"]
    assert near_names("dreamshaper_8.safetensor", names) == names[:2]


def test_what_is_no_file_is_not_listed(put: Put, folders: ModelFolders) -> None:
    folder = put("checkpoints/a.safetensors").parent
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "folder.safetensors").mkdir()
    (folder / "nowhere.safetensors").symlink_to(folder / "gone.safetensors")
    (folder / "ring.safetensors").symlink_to("ring.safetensors")
    assert folders.names("checkpoints") == ["a.safetensors"]


def test_what_lies_out_of_the_roots_is_not_walked(tmp_path: Path, put: Put, root: Path) -> None:
    folder = put("checkpoints/a.safetensors").parent
    (folder / "everything").symlink_to(tmp_path)  # from where a way leads back in
    put("vae/b.safetensors")
    assert ModelFolders([root]).names("checkpoints") == ["a.safetensors"]
