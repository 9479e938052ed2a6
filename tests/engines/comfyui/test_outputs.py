"""What nodes report, as outputs of a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.result import JobResult

Run = Callable[..., JobResult]
Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("key", "name", "kind"),
    [
        ("images", "a.png", "image"),
        ("images", "moving.webp", "image"),
        ("gifs", "b.gif", "image"),
        ("gifs", "c.mp4", "video"),
        ("videos", "d.webm", "video"),
        ("audio", "e.flac", "audio"),
        ("latents", "f.latent", "latent"),
        ("text", "g.txt", "text"),
        ("3d", "h.glb", "file"),
        ("whatever", "i.xyz", "file"),
    ],
)
def test_every_file_that_a_node_reports_is_an_output_of_its_kind(
    run: Run, node: Make, key: str, name: str, kind: str
) -> None:
    result = run({"w": node("TestWriteFiles", key=key, names=name)})
    (output,) = result.outputs
    assert (output.kind, output.filename, output.subfolder, output.size_bytes) == (kind, name, "made", len(name))


def test_several_files_of_a_node_come_in_its_order(run: Run, node: Make) -> None:
    result = run({"w": node("TestWriteFiles", key="images", names="b.png,a.png,c.mp4")})
    assert [output.filename for output in result.outputs] == ["b.png", "a.png", "c.mp4"]


def test_a_file_outside_of_the_jobs_folders_is_no_output(run: Run, node: Make) -> None:
    result = run({"w": node("TestWriteFiles", key="images", names="../../escaped.png")})
    assert result.outputs == ()


def test_a_text_that_a_node_shows_is_an_output(run: Run, node: Make) -> None:
    result = run({"t": node("PreviewAny", source="seven")})
    assert [(output.kind, output.text) for output in result.outputs] == [("text", "seven")]


def test_the_picture_of_an_expansion_belongs_to_the_clients_node(run: Run, graph: Make, node: Make) -> None:
    made = graph(inner=node("TestSaveByExpansion", image=["image", 0]), last=node("PreviewImage", images=["inner", 0]))
    for _ in range(2):  # the second job has the expanding node's result, and must make its picture all the same
        result = run(made)
        assert [(output.node_id, output.filename) for output in result.outputs if not output.temporary] == [
            ("inner", "inner_00001_.png")
        ]


def test_files_are_handed_over_as_each_node_is_done(run: Run, graph: Make, node: Make) -> None:
    files = {f"f{i}": node("TestWriteFiles", key="images", names=f"{i}.png") for i in range(3)}
    result = run(graph(**files, fail=node("TestFail", image=["image", 0], message="late"),
                       save=node("PreviewImage", images=["fail", 0])))  # fmt: skip
    assert result.error is not None  # and what had been uploaded is taken back
    assert result.outputs == ()
