from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from runtime.artifacts.local import FolderArtifactStore
from runtime.errors import InputRejected
from runtime.fetch.sink import ByteBudget, Sink
from runtime.fetch.uploads import UploadAccess, upload_key

FILE_ID = hashlib.sha256(b"picture").hexdigest() + ".png"


@pytest.fixture
def store(tmp_path: Path) -> FolderArtifactStore:
    store = FolderArtifactStore(tmp_path, base_url="http://127.0.0.1")
    store.put(upload_key("me", FILE_ID), b"picture", "image/png")
    return store


def read(store: FolderArtifactStore, tenant: str, text: str, limit_bytes: int = 100) -> bytes:
    file = io.BytesIO()
    sink = Sink(file, limit_bytes=limit_bytes, budget=ByteBudget(1000), check=lambda: None)
    UploadAccess(store=store, tenant=tenant).download(text, sink)
    return file.getvalue()


@pytest.mark.parametrize("text", [f"upload:{FILE_ID}", f"upload://{FILE_ID}"])
def test_an_upload_is_read_by_its_id(store: FolderArtifactStore, text: str) -> None:
    assert read(store, "me", text) == b"picture"


@pytest.mark.parametrize("name", ["", "b" * 64 + ".png", "../me/" + FILE_ID, FILE_ID + "/..", "A" * 64 + ".png"])
def test_what_is_no_upload_is_refused(store: FolderArtifactStore, name: str) -> None:
    with pytest.raises(InputRejected, match="is not there"):
        read(store, "me", f"upload:{name}")


def test_another_tenants_upload_is_not_there(store: FolderArtifactStore) -> None:
    with pytest.raises(InputRejected, match="is not there"):
        read(store, "you", f"upload:{FILE_ID}")


def test_an_upload_over_the_limit_is_refused(store: FolderArtifactStore) -> None:
    with pytest.raises(InputRejected, match="expected at most 3"):
        read(store, "me", f"upload:{FILE_ID}", limit_bytes=3)
