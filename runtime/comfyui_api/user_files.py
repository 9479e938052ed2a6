"""What the web page keeps for a person: saved workflows and the like, by their paths, and settings by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from runtime.api.errors import Conflict, NotFound
from runtime.artifacts.content_types import content_type_of
from runtime.artifacts.store import Artifact, ArtifactStore
from runtime.documents.store import ABSENT, DocumentStore
from runtime.errors import InvalidRequest
from runtime.file_names import safe_name, shown

_MOST_LISTED = 10_000
_MOST_SETTINGS = 2_000
_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class UserFile:
    """A file by its path within its tenant's files, or within the folder that was listed."""

    path: str
    size_bytes: int
    modified_at: float

    def to_wire(self) -> Mapping[str, Any]:
        """The form in which the page asks for it; a store knows of no birth, and so says its last change."""
        return {
            "path": self.path,
            "size": self.size_bytes,
            "modified": self.modified_at,
            "created": self.modified_at,
        }


class UserFiles:
    """Every call looks among the files of the tenant that it names. A path that leads out of them is InputRejected."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    def get(self, tenant: str, path: str) -> bytes:
        """The file's bytes. Raises NotFound."""
        data = self._artifacts.get(_key(tenant, path))
        if data is None:
            raise NotFound(f"there is no file {shown(path)}")
        return data

    def put(self, tenant: str, path: str, data: bytes, *, overwrite: bool) -> UserFile:
        """Keep the file. Raises Conflict where there is one and it shall stay."""
        key = _key(tenant, path)
        if not overwrite and self._artifacts.stat(key) is not None:
            raise Conflict(f"there is a file {shown(path)} already")
        self._artifacts.put(key, data, content_type_of(path))
        return self._file(tenant, path)

    def delete(self, tenant: str, path: str) -> None:
        """Forget the file. Raises NotFound."""
        self._file(tenant, path)
        self._artifacts.delete(_key(tenant, path))

    def move(self, tenant: str, path: str, to: str, *, overwrite: bool) -> UserFile:
        """Give the file another path. Raises NotFound, Conflict."""
        data = self.get(tenant, path)
        moved = self.put(tenant, to, data, overwrite=overwrite)
        if to != path:
            self._artifacts.delete(_key(tenant, path))
        return moved

    def list(self, tenant: str, folder: str) -> list[UserFile]:
        """The files below a folder, sorted, by their paths within it; of the whole where it is empty or `.`."""
        folder = folder.removesuffix("/")
        start = f"userdata/{tenant}/" if folder in ("", ".") else f"{_key(tenant, folder)}/"
        return sorted(self._below(start), key=lambda file: file.path)

    def _below(self, start: str) -> Iterator[UserFile]:
        for count, found in enumerate(self._artifacts.list(start)):
            if count >= _MOST_LISTED:
                return
            yield _user_file(found, found.key[len(start) :])

    def _file(self, tenant: str, path: str) -> UserFile:
        found = self._artifacts.stat(_key(tenant, path))
        if found is None:
            raise NotFound(f"there is no file {shown(path)}")
        return _user_file(found, path)


class UserSettings:
    """Every tenant's settings of the web page."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def all(self, tenant: str) -> Mapping[str, Any]:
        """All of them."""
        found = self._documents.get(_SETTINGS, tenant)
        return {} if found is None else found.value

    def change(self, tenant: str, changed: Mapping[str, Any]) -> None:
        """Set some; the others stay. Raises InvalidRequest for more than a person has, Conflict after many tries."""
        for _ in range(_TRIES):
            found = self._documents.get(_SETTINGS, tenant)
            value = {**(found.value if found else {}), **changed}
            if len(value) > _MOST_SETTINGS:
                raise InvalidRequest(f"there are {len(value)} settings; expected at most {_MOST_SETTINGS}")
            if self._documents.put(_SETTINGS, tenant, value, over=found.version if found else ABSENT) is not None:
                return
        raise Conflict("the settings are changed by somebody else all the time: try again")


_SETTINGS = "comfyui settings"


def _key(tenant: str, path: str) -> str:
    return f"userdata/{tenant}/{safe_name(path)}"


def _user_file(found: Artifact, path: str) -> UserFile:
    return UserFile(path=str(PurePosixPath(path)), size_bytes=found.size_bytes, modified_at=found.modified_at)
