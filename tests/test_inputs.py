from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.cancellation import CancelFlag
from runtime.errors import Cancelled, InputRejected, StorageUnavailable
from runtime.inputs import InputLimits, fetch_inputs
from runtime.workspace import Workspace
from tests.cpu_time import at_once


@dataclass(frozen=True)
class Entry:
    name: str
    image: str = "YWJj"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(root=tmp_path) as made:
        yield made


def test_base64_is_written_under_its_name(workspace: Workspace) -> None:
    images = [Entry("a.png", "data:image/png;base64,YWJj"), Entry("sub/b.png", " ZGVm\n")]
    fetch_inputs(images, workspace, cancel=CancelFlag())
    assert workspace.input_path("a.png").read_bytes() == b"abc"
    assert workspace.input_path("sub/b.png [input]").read_bytes() == b"def"


def test_no_images_touch_no_disk(workspace: Workspace, tmp_path: Path) -> None:
    fetch_inputs([], workspace, cancel=CancelFlag())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(Entry("b.png", "no base64!"), r"images\[1\] 'b\.png': it holds '!'", id="base64"),
        pytest.param(Entry("b.png", ""), r"images\[1\] 'b\.png': it is empty", id="empty"),
        pytest.param(Entry("b.png", "data:;base64,"), r"images\[1\] 'b\.png': it is empty", id="empty_data"),
        pytest.param(Entry("b.png", "file:///etc/passwd"), r"images\[1\] 'b\.png': its scheme is 'file'", id="file"),
        pytest.param(Entry("b.png", "GS://a/b"), r"images\[1\] 'b\.png': its scheme is 'gs'", id="gs"),
        pytest.param(Entry("b.png", "s3://a/b"), r"images\[1\] 'b\.png': it is an s3:// address; this dep", id="s3"),
        pytest.param(Entry("b.png", "https://u:p@a.example/"), r"images\[1\] 'b\.png': a URL to 'a\.ex", id="url"),
        pytest.param(Entry("../b.png"), r"images\[1\]: file name '\.\./b\.png' has an empty", id="name"),
        pytest.param(Entry("a.png"), r"images\[1\]: file name 'a\.png' is taken already", id="twice"),
        pytest.param(Entry("a.png/b"), r"images\[1\]: file name 'a\.png/b' lies below another", id="below"),
    ],
)
def test_an_error_names_the_entry(workspace: Workspace, entry: Entry, message: str) -> None:
    with pytest.raises(InputRejected, match=message):
        fetch_inputs([Entry("a.png"), entry], workspace, cancel=CancelFlag())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        pytest.param(InputLimits(files=1), "images has 2 entries, expected at most 1", id="files"),
        pytest.param(
            InputLimits(file_bytes=2), r"images\[0\] 'a\.png': its size is 3 bytes, expected at most 2", id="file"
        ),
        pytest.param(InputLimits(total_bytes=5), r"images\[1\] 'b\.png': .* exceed 5 bytes in total", id="total"),
    ],
)
def test_each_limit_is_held(workspace: Workspace, limits: InputLimits, message: str) -> None:
    with pytest.raises(InputRejected, match=message):
        fetch_inputs([Entry("a.png"), Entry("b.png")], workspace, cancel=CancelFlag(), limits=limits)


def test_files_as_large_as_the_limits_pass(workspace: Workspace) -> None:
    limits = InputLimits(files=2, file_bytes=3, total_bytes=6)
    fetch_inputs([Entry("a.png"), Entry("b.png")], workspace, cancel=CancelFlag(), limits=limits)
    assert workspace.input_names("image") == ["a.png", "b.png"]


@pytest.mark.parametrize("image", ["YWJj", "https://pictures.example/a.png"])
def test_a_cancelled_job_fetches_nothing(workspace: Workspace, image: str) -> None:
    cancel = CancelFlag()
    cancel.set()
    with pytest.raises(Cancelled):
        fetch_inputs([Entry("a.png", image)], workspace, cancel=cancel)


def test_a_hundred_megabytes_of_base64_over_the_limit_are_refused_unread(workspace: Workspace) -> None:
    image = "abcd" * (25 << 20)
    with (
        at_once(),
        pytest.raises(
            InputRejected, match=r"images\[0\] 'a\.png': its size is 78643200 bytes, expected at most 67108864"
        ),
    ):
        fetch_inputs([Entry("a.png", image)], workspace, cancel=CancelFlag())
    assert (workspace.input / "a.png").stat().st_size == 0


def test_a_hundred_megabytes_of_base64_within_the_limit_are_taken_at_once(workspace: Workspace) -> None:
    limits = InputLimits(file_bytes=128 << 20)
    with at_once():
        fetch_inputs([Entry("a.png", "abcd" * (25 << 20))], workspace, cancel=CancelFlag(), limits=limits)
    assert (workspace.input / "a.png").stat().st_size == 75 << 20


def test_what_only_an_address_needs_is_not_imported_for_base64(tmp_path: Path) -> None:
    code = (
        "import sys; from types import SimpleNamespace as Entry; from pathlib import Path\n"
        "from runtime.inputs import *; from runtime.workspace import *; from runtime.cancellation import *\n"
        "with Workspace() as workspace: fetch_inputs([Entry(name='a', image='YWJj')], workspace, cancel=CancelFlag())\n"
        "sys.exit(sum(name in sys.modules for name in ('httpcore', 'boto3', 'ssl')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


class FullDisk(Workspace):
    """Every input file of it lies on a device that has no room."""

    def new_input(self, name: str) -> Path:
        return Path("/dev/full")


def test_a_full_disk_is_storage_unavailable() -> None:
    with pytest.raises(StorageUnavailable, match="No space left on device"):
        fetch_inputs([Entry("a.png", "AAAA" * 100_000)], FullDisk(), cancel=CancelFlag())
