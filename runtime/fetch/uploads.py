"""Files that a client uploaded before: `upload:ID`, where the ID is the file's SHA-256 and suffix."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from runtime.artifacts.store import ArtifactStore
from runtime.errors import InputRejected
from runtime.fetch.sink import Sink

SCHEME = "upload"

_ID = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")


@dataclass(frozen=True, kw_only=True)
class UploadAccess:
    """The uploads of one tenant: nobody else's can be named."""

    store: ArtifactStore
    tenant: str

    def download(self, text: str, sink: Sink) -> None:
        """Fetch the upload at `text` into `sink`. Raises InputRejected for one that is not there."""
        file_id = text[len(SCHEME) + 1 :].lstrip("/")
        data = self.store.get(upload_key(self.tenant, file_id)) if _ID.fullmatch(file_id) else None
        if data is None:
            raise InputRejected(
                f"upload {file_id[:80]!r} is not there: expected the id that the upload was answered by"
            )
        if hashlib.sha256(data).hexdigest() != file_id.partition(".")[0]:
            raise InputRejected(f"upload {file_id[:80]!r} is not the file that was announced: its SHA-256 is another")
        sink.expect(len(data))
        sink.write(data)


def upload_key(tenant: str, file_id: str) -> str:
    """Where an upload lies in the artifact store."""
    return f"inputs/{tenant}/{file_id}"
