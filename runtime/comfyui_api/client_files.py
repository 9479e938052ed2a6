"""What clients have uploaded, by the names that they gave: each tenant's own input, output and temp folders.

The bytes lie among the uploads of the HTTP API, content-addressed; the documents here say which name has which.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import PurePosixPath

from runtime.api.file_types import suffix_by_content
from runtime.artifacts.content_types import content_type_of
from runtime.artifacts.store import ArtifactStore
from runtime.comfyui_api.names import FileName, Folder
from runtime.documents.store import DocumentStore
from runtime.errors import InvalidRequest
from runtime.fetch.uploads import upload_key
from runtime.file_names import safe_name

_UNKNOWN = ".bin"
_MOST_OF_A_NAME = 100
_MOST_LISTED = 2_000
_LONGEST_NAME_BYTES = 900


class ClientFiles:
    """Every call looks among the files of the tenant that it names, and nowhere else."""

    def __init__(self, documents: DocumentStore, artifacts: ArtifactStore) -> None:
        self._documents = documents
        self._artifacts = artifacts

    def put(self, tenant: str, name: FileName, data: bytes, *, overwrite: bool = False) -> FileName:
        """Keep the file, and answer its name: `a (1).png` where `a.png` is another file already.

        Raises InputRejected for a name that leaves its folder, InvalidRequest for one that is too long.
        """
        if len(str(safe_name(name.path)).encode()) > _LONGEST_NAME_BYTES:
            raise InvalidRequest(f"the name {name} is longer than {_LONGEST_NAME_BYTES} bytes")
        file_id = self.keep(tenant, data)
        chosen = name if overwrite else self._free(tenant, name, file_id)
        self._documents.put(_collection(tenant), _document(chosen), {"file_id": file_id, "size_bytes": len(data)})
        return chosen

    def keep(self, tenant: str, data: bytes) -> str:
        """Keep bytes that have no name, and answer their id."""
        file_id = f"{hashlib.sha256(data).hexdigest()}{suffix_by_content(data) or _UNKNOWN}"
        self._artifacts.put(upload_key(tenant, file_id), data, content_type_of(file_id))
        return file_id

    def find(self, tenant: str, name: FileName) -> str | None:
        """The id of the upload that has this name; None if there is none, or its bytes are gone by age."""
        found = self._documents.get(_collection(tenant), _document(name))
        file_id = None if found is None else str(found.value["file_id"])
        return file_id if file_id and self._artifacts.stat(upload_key(tenant, file_id)) else None

    def read(self, tenant: str, name: FileName) -> tuple[bytes, str] | None:
        """The file's bytes, and its content type by what it holds."""
        file_id = self.find(tenant, name)
        data = self._artifacts.get(upload_key(tenant, file_id)) if file_id else None
        return None if data is None or file_id is None else (data, content_type_of(file_id))

    def names(self, tenant: str, folder: Folder) -> list[str]:
        """The files of a folder, sub-folders with `/`; of very many, the first by name."""
        return list(itertools.islice(self._names(tenant, f"{folder}/"), _MOST_LISTED))

    def _names(self, tenant: str, start: str) -> Iterator[str]:
        after = start
        while page := self._documents.list(_collection(tenant), after=after):
            for document in page:
                if not document.name.startswith(start):
                    return
                yield document.name[len(start) :]
            after = page[-1].name

    def _free(self, tenant: str, name: FileName, file_id: str) -> FileName:
        stem, suffix = PurePosixPath(name.filename).stem, PurePosixPath(name.filename).suffix
        for number in range(_MOST_OF_A_NAME):
            filename = f"{stem} ({number}){suffix}" if number else name.filename
            tried = FileName(filename=filename, subfolder=name.subfolder, folder=name.folder)
            if self.find(tenant, tried) in (None, file_id):
                return tried
        raise InvalidRequest(f"there are {_MOST_OF_A_NAME} files called like {name}: choose another name")


def _collection(tenant: str) -> str:
    return f"comfyui files {tenant}"


def _document(name: FileName) -> str:
    return f"{name.folder}/{name.path}"
