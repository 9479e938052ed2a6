from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from runtime.errors import ModelCorrupt, ModelUnsafe
from runtime.models.safetensors_header import MAX_HEADER_BYTES, TensorEntry, read_header
from tests.cpu_time import at_once

WriteRaw = Callable[..., Path]

_HEADER = {
    "first.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "second.bias": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
}


def test_the_header_says_where_each_tensor_lies(write_raw: WriteRaw) -> None:
    path = write_raw(_HEADER)
    start = path.stat().st_size - 32
    entries = read_header(path).tensors
    assert entries["second.bias"] == TensorEntry(dtype="F16", shape=(4,), begin=start + 24, end=start + 32)


def test_the_order_of_the_names_is_free(write_raw: WriteRaw) -> None:
    backwards = dict(reversed(_HEADER.items()))
    assert read_header(write_raw(backwards)).tensors.keys() == _HEADER.keys()


def test_metadata_is_read_beside_the_tensors(write_raw: WriteRaw) -> None:
    header = read_header(write_raw({"__metadata__": {"format": "pt"}, **_HEADER}))
    assert header.metadata == {"format": "pt"}
    assert "__metadata__" not in header.tensors


def test_a_tensor_may_be_empty(write_raw: WriteRaw) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [32, 32]}
    assert read_header(write_raw({**_HEADER, "v_pred": empty})).tensors["v_pred"].size_bytes == 0


def _changed(**fields: Any) -> dict[str, Any]:
    return {"dtype": "F16", "shape": [4], "data_offsets": [24, 32], **fields}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        pytest.param(_changed(dtype="F17"), "'F17'", id="unknown dtype"),
        pytest.param(_changed(dtype=["F16"]), "dtype", id="dtype of another type"),
        pytest.param(_changed(shape=[5]), "takes 10 bytes", id="shape larger than its bytes"),
        pytest.param(_changed(shape=[-4]), "[-4]", id="negative size"),
        pytest.param(_changed(shape=[4.0]), "[4.0]", id="fractional size"),
        pytest.param(_changed(shape=[True] * 4), "shape", id="boolean size"),
        pytest.param(_changed(shape=[2**63, 2]), "shape", id="size beyond 63 bits"),
        pytest.param(_changed(shape=[2**62, 2**62]), "takes", id="product beyond 63 bits"),
        pytest.param(_changed(shape=[1] * 100), "shape", id="a hundred axes"),
        pytest.param(_changed(shape="4"), "shape", id="shape of another type"),
        pytest.param(_changed(data_offsets=[24, 32, 40]), "data_offsets", id="three offsets"),
        pytest.param(_changed(data_offsets=[32, 24]), "data_offsets give -8", id="offsets backwards"),
        pytest.param(_changed(data_offsets=[16, 24]), "overlaps", id="overlap"),
        pytest.param(_changed(data_offsets=[25, 33]), "gap", id="gap"),
        pytest.param(_changed(shape=[8], data_offsets=[24, 40]), "truncated", id="end behind the file's"),
        pytest.param(_changed(shape=[2], data_offsets=[24, 28]), "appended", id="bytes that belong to nobody"),
        pytest.param({"dtype": "F16", "shape": [4]}, "data_offsets", id="no offsets"),
        pytest.param([], "should be an object", id="no object"),
    ],
)
def test_an_entry_that_cannot_be_is_named(write_raw: WriteRaw, entry: Any, fault: str) -> None:
    path = write_raw({**_HEADER, "second.bias": entry})
    with pytest.raises(ModelCorrupt, match=re.escape(fault)) as refused:
        read_header(path)
    assert str(path) in refused.value.message


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        pytest.param(b"[]", "begin with", id="a list"),
        pytest.param(b"{", "JSON", id="cut JSON"),
        pytest.param(b"{'a': 1}", "JSON", id="not quite JSON"),
        pytest.param(b"{}}", "JSON", id="more behind the object"),
        pytest.param(b'{"a": ' + b"[" * 200_000, "JSON", id="deep nesting"),
        pytest.param(b'{"a": ' + b"9" * 10_000 + b"}", "a", id="a number of ten thousand digits"),
        pytest.param(b'{"\xff": 1}', "JSON", id="not UTF-8"),
        pytest.param(b'{"a": 1, "a": 2}', "'a' twice", id="a name twice"),
        pytest.param(b'{"__metadata__": {"a": 1}}', "__metadata__", id="metadata that is no text"),
        pytest.param(b'{"__metadata__": []}', "__metadata__", id="metadata that is no object"),
    ],
)
def test_a_header_that_is_no_header_is_named_corrupt(write_raw: WriteRaw, header: bytes, fault: str) -> None:
    with pytest.raises(ModelCorrupt, match=re.escape(fault)):
        read_header(write_raw(header))


@pytest.mark.parametrize(
    ("length", "fault"),
    [
        pytest.param(2**64 - 1, "truncated", id="beyond every file"),
        pytest.param(10_000, "truncated", id="beyond this file"),
        pytest.param(0, "begin with", id="zero"),
    ],
)
def test_a_header_length_that_cannot_be_is_named(write_raw: WriteRaw, length: int, fault: str) -> None:
    with pytest.raises(ModelCorrupt, match=fault):
        read_header(write_raw(_HEADER, length=length))


def test_a_header_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{")
        file.truncate(MAX_HEADER_BYTES + 100)
    with pytest.raises(ModelCorrupt, match=f"at most {MAX_HEADER_BYTES}"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "meaning"),
    [
        pytest.param(b"", "takes 8", id="empty"),
        pytest.param(b"abc", "takes 8", id="three bytes"),
        pytest.param(b"<!DOCTYPE html><html>Please log in</html>", "a web page", id="html"),
        pytest.param(b"\n  <html><head></head></html>", "a web page", id="html behind blanks"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer", id="git-lfs"),
        pytest.param(b'{"error": "Repository not found"}', "a JSON file", id="json"),
        pytest.param(b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", "a GGUF file", id="gguf"),
        pytest.param(b"\x00" * 64, "begin with", id="zeros"),
    ],
)
def test_what_was_saved_under_a_models_name_is_told(tmp_path: Path, content: bytes, meaning: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=meaning):
        read_header(path)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04" + b"\0" * 60, b"\x80\x02}q\x00." + b"\0" * 60], ids=["zip", "pickle"]
)
def test_a_pickle_under_the_name_of_a_safetensors_file_is_unsafe(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelUnsafe, match="pickle"):
        read_header(path)


def test_a_folder_under_a_models_name_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        read_header(tmp_path)


def test_the_largest_hostile_header_is_refused_at_once(write_raw: WriteRaw) -> None:
    names = ", ".join(f'"{index}": 0' for index in range(MAX_HEADER_BYTES // 13))
    path = write_raw(f'{{{names}, "0": 0}}'.encode())
    with at_once(), pytest.raises(ModelCorrupt, match="'0' twice"):
        read_header(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_length_or_of_the_headers_structure_is_accepted(write_raw: WriteRaw, data: st.DataObject) -> None:
    """Cut anywhere, pad anywhere, or flip a bit of the length field: each makes the sizes disagree."""
    kind = data.draw(st.sampled_from(["cut", "pad", "length"]))
    path = write_raw(_HEADER)
    whole = path.read_bytes()
    if kind == "cut":
        broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "pad":
        broken = whole + data.draw(st.binary(min_size=1, max_size=64))
    else:
        bit = data.draw(st.integers(0, 63))
        broken = (int.from_bytes(whole[:8], "little") ^ (1 << bit)).to_bytes(8, "little") + whole[8:]
    path.write_bytes(broken)
    with pytest.raises(ModelCorrupt, match=re.escape(str(path))):
        read_header(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_header_with_changed_bytes_is_refused_or_still_covers_the_file(
    write_raw: WriteRaw, data: st.DataObject
) -> None:
    header = bytearray(json.dumps(_HEADER).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    path = write_raw(bytes(header))
    try:
        entries = read_header(path).tensors.values()
    except ModelCorrupt:
        return
    assert sum(entry.size_bytes for entry in entries) == 32
    assert max(entry.end for entry in entries) == path.stat().st_size


def test_what_the_safetensors_library_writes_is_read(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "written.safetensors"
    save_file({"a": np.zeros((2, 5), np.float32), "b": np.ones(3, np.int64)}, path, metadata={"by": "test"})
    header = read_header(path)
    assert {name: entry.shape for name, entry in header.tensors.items()} == {"a": (2, 5), "b": (3,)}
    assert header.metadata == {"by": "test"}
