"""What is on the volume beside what the manifest says shall be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from runtime.models.folders import KINDS, ModelFolders
from runtime.models.manifest import Manifest, ManifestModel
from runtime.models.sync.volume import LEFTOVER_SUFFIXES, Volume, allocated_bytes


@dataclass(frozen=True, kw_only=True)
class Item:
    """One model. The states are these.

    ready      there, and of the manifest's hash when it was fetched or last hashed
    unchecked  there, of the right size, put there by hand and not hashed yet
    wrong      there, of another size or hash than the manifest wants
    partial    a part of it has been fetched
    absent     in the manifest alone
    unlisted   on the volume alone
    """

    path: str
    state: str
    size_bytes: int | None
    wanted_bytes: int | None = None
    used_at: float | None = None
    pinned: bool = False
    preload: str | None = None
    licence: str | None = None

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)


def inventory(manifest: Manifest, volume: Volume) -> Iterator[Item]:
    """The manifest's models in its order, then what else lies in the folders."""
    listed = set()
    for model in manifest.models:
        listed.add(model.path)
        yield _of_manifest(model, volume)
    folders = ModelFolders([volume.root])
    for folder in sorted({*(folder for names in KINDS.values() for folder in names), *manifest.extra_folders}):
        for name in folders.names_in(folder):
            path = f"{folder}/{name}"
            if path not in listed:
                size = volume.size(path)
                yield Item(path=path, state="unlisted", size_bytes=size, used_at=volume.used_at(path))


def _of_manifest(model: ManifestModel, volume: Volume) -> Item:
    state, size = _state(model, volume)
    return Item(
        path=model.path,
        state=state,
        size_bytes=size,
        wanted_bytes=model.size_bytes,
        used_at=volume.used_at(model.path),
        pinned=model.pinned,
        preload=model.preload,
        licence=model.licence,
    )


def _state(model: ManifestModel, volume: Volume) -> tuple[str, int | None]:
    size = volume.size(model.path)
    if size is None:
        file = volume.file(model.path)
        part = file.with_name(f".{file.name}{LEFTOVER_SUFFIXES[0]}")
        try:
            return "partial", allocated_bytes(part.stat())
        except OSError:
            return "absent", None
    record = volume.record(model.path)
    if model.size_bytes not in (None, size) or (record is not None and record.sha256 != model.sha256):
        return "wrong", size
    return ("unchecked" if record is None else "ready"), size
