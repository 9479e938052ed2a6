from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import InputRejected
from runtime.workspace import Workspace
from tests.cpu_time import at_once


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    (folder / "sub").mkdir(parents=True)
    (folder / "shared.png").write_bytes(b"shared")
    (folder / "sub" / "deep.JPG").write_bytes(b"deep")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, shared: Path) -> Iterator[Workspace]:
    with Workspace(root=tmp_path / "jobs", shared_inputs=[shared]) as made:
        yield made


def test_nothing_is_made_before_it_is_asked_for(tmp_path: Path) -> None:
    with Workspace(root=tmp_path / "jobs") as workspace, pytest.raises(InputRejected):
        workspace.input_path("a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_needs_no_file_pays_almost_nothing() -> None:
    with at_once(units=2):
        for _ in range(1000):
            with Workspace():
                pass


@pytest.mark.parametrize("folder", ["input", "output", "temp"])
def test_each_folder_is_private_and_removed_at_the_end(tmp_path: Path, folder: str) -> None:
    with Workspace(root=tmp_path) as workspace:
        path = getattr(workspace, folder)
        (path / "a").write_bytes(b"a")
        assert path.name == folder
        assert path.parent.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_root_it_lies_in_the_systems_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Workspace() as workspace:
        assert workspace.temp.parent.parent == tmp_path


def test_two_jobs_do_not_see_each_others_files(tmp_path: Path) -> None:
    with Workspace(root=tmp_path) as one, Workspace(root=tmp_path) as two:
        one.new_input("a.png").write_bytes(b"one")
        with pytest.raises(InputRejected, match=r"'a\.png' is not there"):
            two.input_path("a.png")


def test_files_that_vanish_or_appear_while_it_is_removed_are_no_error(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path)
    for number in range(300):
        (workspace.temp / f"{number}").touch()
    others = list(workspace.temp.iterdir())

    def delete() -> None:
        for path in reversed(others):
            path.unlink(missing_ok=True)

    thread = threading.Thread(target=delete)
    thread.start()
    workspace.remove()
    thread.join()
    workspace.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_removed_workspace_is_not_made_again(workspace: Workspace) -> None:
    workspace.remove()
    with pytest.raises(RuntimeError, match="removed already"):
        _ = workspace.temp


def test_the_jobs_own_file_comes_before_a_shared_one(workspace: Workspace) -> None:
    assert workspace.input_path("shared.png").read_bytes() == b"shared"
    workspace.new_input("shared.png").write_bytes(b"own")
    assert workspace.input_path("shared.png").read_bytes() == b"own"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("a.png", "input"), ("a.png [input]", "input"), ("a.png [output]", "output"), ("sub/a.png [temp]", "temp")],
)
def test_a_name_is_looked_for_where_its_annotation_says(workspace: Workspace, name: str, folder: str) -> None:
    path = getattr(workspace, folder) / name.split(" ")[0]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"it")
    assert workspace.input_path(name).read_bytes() == b"it"


def test_a_shared_file_is_no_output(workspace: Workspace) -> None:
    with pytest.raises(InputRejected, match="is not there"):
        workspace.input_path("shared.png [output]")


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "..\\secret.png", "a\0", "../x [temp]"])
def test_a_name_that_climbs_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(InputRejected, match="file name"):
        workspace.input_path(name)


def test_an_absolute_name_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="is absolute"):
        workspace.input_path(str(tmp_path / "secret.png"))


def test_a_link_inside_its_folder_is_followed(workspace: Workspace, shared: Path) -> None:
    (shared / "link.png").symlink_to("shared.png")
    assert workspace.input_path("link.png").read_bytes() == b"shared"


@pytest.mark.parametrize("name", ["link.png", "up/secret.png"])
def test_a_link_out_of_its_folder_is_refused_by_name(workspace: Workspace, shared: Path, name: str) -> None:
    (shared / "link.png").symlink_to("../secret.png")
    (shared / "up").symlink_to("..")
    with pytest.raises(InputRejected, match=f"'{name}' is a link out of its folder") as caught:
        workspace.input_path(name)
    assert str(shared) not in caught.value.message


def test_a_folder_is_no_input_file(workspace: Workspace) -> None:
    with pytest.raises(InputRejected, match="'sub' is not there"):
        workspace.input_path("sub")


def test_a_missing_file_is_answered_with_the_near_names(workspace: Workspace) -> None:
    with pytest.raises(InputRejected, match=r"'sharde\.png' is not there; near it: 'shared\.png'"):
        workspace.input_path("sharde.png")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.lists(st.sampled_from(["..", "/", "sub", "a", "\\", ".", "secret.png", " [temp]"])).map("".join))
def test_no_name_whatsoever_reaches_a_file_outside(workspace: Workspace, tmp_path: Path, name: str) -> None:
    try:
        path = workspace.input_path(name)
    except InputRejected:
        return
    assert path.is_relative_to(tmp_path / "shared") or path.is_relative_to(tmp_path / "jobs")


def test_a_new_input_lies_in_the_input_folder_with_its_parents_made(workspace: Workspace) -> None:
    path = workspace.new_input("x/y/a.png")
    assert path == workspace.input / "x/y/a.png"
    assert path.parent.is_dir()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("a.png", "taken already", id="twice"),
        pytest.param("a.png/b.png", "below another input file", id="below_a_file"),
        pytest.param("a.png/b/c.png", "below another input file", id="deep_below_a_file"),
        pytest.param("b.png [output]", "annotated", id="annotated"),
        pytest.param("../b.png", "segment", id="climbs"),
    ],
)
def test_a_new_input_of_a_bad_name_is_refused(workspace: Workspace, name: str, message: str) -> None:
    workspace.new_input("a.png").touch()
    with pytest.raises(InputRejected, match=message):
        workspace.new_input(name)


def test_names_are_listed_by_kind_from_all_input_folders(workspace: Workspace) -> None:
    for name in ("b.PNG", "sub/a.webp", "x.latent", "notes.txt"):
        workspace.new_input(name).touch()
    (workspace.output / "out.png").touch()
    assert workspace.input_names("image") == ["b.PNG", "shared.png", "sub/a.webp", "sub/deep.JPG"]
    assert workspace.input_names("latent") == ["x.latent"]
