"""What ComfyUI's nodes made, on its way to the artifact sink, as each node reports it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runtime.artifacts.content_types import content_type_of
from runtime.engines.protocol import ArtifactSink, FileOutput, Picture
from runtime.errors import InputRejected
from runtime.file_names import safe_name, shown

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_LARGE_BYTES = 64_000_000  # a file up to this is read at once, so that a node may write another under its name
_FOLDERS = ("output", "temp")
_LATENTS = frozenset({".latent"})


class JobOutputs:
    """One job's outputs. `folders` is where ComfyUI's `output` and `temp` lie.

    A second attempt at a job, after `again`, hands nothing over twice: its nodes make the same outputs in the same
    order, so those that were handed over before are counted off.
    """

    def __init__(self, sink: ArtifactSink, folders: Path, png_text: Mapping[str, str]) -> None:
        self._sink = sink
        self._folders = folders
        self._png_text = png_text
        self._names: dict[str, list[str]] = {}
        self._made: dict[str, int] = {}
        self._pictures: set[tuple[str, str, str]] = set()

    def again(self) -> None:
        """Begin anew."""
        self._made.clear()
        self._pictures.clear()

    def picture(self, node_id: str, pixels: NDArray[numpy.uint8], prefix: str, *, temporary: bool) -> dict[str, str]:
        """Hand a picture over that never was a file; answer the entry that its node reports it with."""
        index = self._next(node_id)
        if index == len(self._handed(node_id)):
            picture = Picture(
                node_id=node_id,
                index=index,
                filename_prefix=prefix,
                pixels=pixels,
                png_text=self._png_text,
                temporary=temporary,
            )
            self._handed(node_id).append(self._sink.picture(picture))
        folder, _, name = self._handed(node_id)[index].rpartition("/")
        entry = {"filename": name, "subfolder": folder, "type": "temp" if temporary else "output"}
        self._pictures.add(_place(entry))
        return entry

    def reported(self, node_id: str, ui: Mapping[str, Any]) -> bool:
        """Hand over whatever a node reports that is not handed over yet. Whether there were files among it."""
        has_files = False
        for key, values in ui.items():
            for value in values if isinstance(values, list | tuple) else ():
                if isinstance(value, Mapping) and isinstance(value.get("filename"), str):
                    has_files |= self._file(node_id, value)
                elif key == "text" and isinstance(value, str):
                    self._text(node_id, value)
        return has_files

    def _file(self, node_id: str, entry: Mapping[str, Any]) -> bool:
        if entry.get("type", "output") not in _FOLDERS:
            return False  # what the job was given is no output of it
        if _place(entry) in self._pictures:
            return True
        path = self._find(entry)
        if path is None:
            _log.warning("node %s reports a file that is not there: %s", node_id, shown(str(entry["filename"])))
            return False
        index = self._next(node_id)
        if index == len(self._handed(node_id)):
            self._handed(node_id).append(self._sink.file(self._output(node_id, index, entry, path)))
        return True

    def _find(self, entry: Mapping[str, Any]) -> Path | None:
        """Where the entry's file lies; None where it is not there or outside of its folder."""
        folder = self._folders / entry.get("type", "output")
        try:
            name = safe_name(_joined(entry))
        except InputRejected:
            return None
        path = (folder / name).resolve()
        return path if path.is_file() and path.is_relative_to(folder.resolve()) else None

    def _output(self, node_id: str, index: int, entry: Mapping[str, Any], path: Path) -> FileOutput:
        name = _joined(entry)
        return FileOutput(
            node_id=node_id,
            index=index,
            filename_prefix=PurePosixPath(name).stem,
            suffix=path.suffix,
            kind=kind_of(name),
            data=path.read_bytes() if path.stat().st_size <= _LARGE_BYTES else path,
            name=name,
            temporary=entry.get("type") == "temp",
        )

    def _text(self, node_id: str, text: str) -> None:
        index = self._next(node_id)
        if index == len(self._handed(node_id)):
            output = FileOutput(
                node_id=node_id,
                index=index,
                filename_prefix="text",
                suffix=".txt",
                kind="text",
                data=text.encode("utf-8", "replace"),
            )
            self._handed(node_id).append(self._sink.file(output))

    def _next(self, node_id: str) -> int:
        index = self._made.get(node_id, 0)
        self._made[node_id] = index + 1
        return index

    def _handed(self, node_id: str) -> list[str]:
        return self._names.setdefault(node_id, [])


def kind_of(name: str) -> str:
    """The kind of output that a file is, by its suffix: `image`, `video`, `audio`, `latent`, `text` or `file`."""
    if PurePosixPath(name).suffix.lower() in _LATENTS:
        return "latent"
    kind = content_type_of(name).partition("/")[0]
    return kind if kind in ("image", "video", "audio", "text") else "file"


def _joined(entry: Mapping[str, Any]) -> str:
    subfolder = str(entry.get("subfolder") or "").replace("\\", "/").strip("/")
    return f"{subfolder}/{entry['filename']}" if subfolder else str(entry["filename"])


def _place(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(entry["filename"]), str(entry.get("subfolder") or ""), str(entry.get("type", "output"))
