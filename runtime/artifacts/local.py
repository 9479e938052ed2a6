"""Artifacts in a folder, with links that our own server answers."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from runtime.artifacts.content_types import content_type_of
from runtime.artifacts.links import Link, LinkSigner, persistent_secret
from runtime.artifacts.store import RESERVED, Artifact, SignedForm, SignedUrl, check_key, check_ttl, content_disposition
from runtime.clock import Clock, SystemClock
from runtime.errors import StorageUnavailable

_TRIES = 10


class FolderArtifactStore:
    """An ArtifactStore in the folder `root`, a file a key; `base_url` is where `file_server` answers for it.

    Files are written beside and renamed: whole or absent after a crash of the process, not of the machine. Links hold
    over processes, by a secret that lies in the folder. Several processes may share the folder.
    """

    def __init__(self, root: Path, *, base_url: str, clock: Clock | None = None) -> None:
        self._root = root
        self._base_url = base_url.rstrip("/")
        self._clock = clock or SystemClock()
        self._own = root / RESERVED

    def prepare(self) -> None:
        with self._translated("prepare", str(self._root)):
            (self._own / "new").mkdir(parents=True, exist_ok=True)
            self.signer  # noqa: B018 - reads or makes the secret

    def close(self) -> None:
        return

    def path(self, key: str) -> Path:
        """Where the file of `key` lies, or would."""
        return self._root / check_key(key)

    def content_type(self, key: str) -> str:
        """What the file was put as."""
        try:
            return self._type_path(key).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return content_type_of(key)

    def put(self, key: str, data: bytes | Path, content_type: str) -> None:
        path = self.path(key)
        with self._translated("put", key):
            self._put_type(key, content_type)
            _write(self._own / "new", data, path)

    def get(self, key: str) -> bytes | None:
        path = self.path(key)
        with self._translated("get", key):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def download(self, key: str, path: Path) -> bool:
        if self.stat(key) is None:
            return False
        with self._translated("download", key):
            _write(path.parent, self.path(key), path)
        return True

    def stat(self, key: str) -> Artifact | None:
        path = self.path(key)
        with self._translated("stat", key):
            return _artifact(path, key)

    def delete(self, key: str) -> None:
        path = self.path(key)
        with self._translated("delete", key):
            for file in (path, self._type_path(key)):
                try:
                    file.unlink()
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    continue
                _remove_empty(file.parent, self._root)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Artifact]:
        check_key(f"{prefix}x")
        with self._translated("list", prefix):
            keys = [key for key in self._keys(prefix) if key.startswith(prefix) and _bytes(key) > _bytes(after)]
            for key in sorted(keys, key=_bytes):
                found = _artifact(self._root / key, key)
                if found:
                    yield found

    def _keys(self, prefix: str) -> Iterator[str]:
        """The keys in the folder that `prefix` leads to, and in its sub-folders."""
        top = self._root / prefix.rpartition("/")[0]
        for folder, folders, names in os.walk(top, onerror=_raise_unless_absent):
            inside = Path(folder).relative_to(self._root).as_posix()
            if inside == "." and RESERVED in folders:
                folders.remove(RESERVED)
            yield from (name if inside == "." else f"{inside}/{name}" for name in names)

    def sign(self, key: str, ttl_s: float, *, filename: str | None = None) -> SignedUrl:
        kept_s = check_ttl(ttl_s)
        if filename is not None:
            content_disposition(filename)
        expires_at = int(self._clock.wall() + kept_s)
        target = self.signer.write(Link(key=check_key(key), expires_at=expires_at, filename=filename))
        warning = f"the link ends after {kept_s:g} s, the most there is" if kept_s < ttl_s else None
        return SignedUrl(url=self._base_url + target, expires_at=expires_at, warning=warning)

    def sign_upload(self, key: str, *, sha256: str, size_bytes: int, ttl_s: float) -> SignedForm | None:
        return None

    @cached_property
    def signer(self) -> LinkSigner:
        """What writes this folder's links and reads them."""
        with self._translated("sign", str(self._root)):
            return LinkSigner(persistent_secret(self._own / "link-secret"))

    def _type_path(self, key: str) -> Path:
        return self._own / "types" / check_key(key)

    def _put_type(self, key: str, content_type: str) -> None:
        """Keep `content_type` where it is not what the key's suffix says."""
        if self.content_type(key) == content_type:
            return
        if content_type == content_type_of(key):
            self._type_path(key).unlink(missing_ok=True)
        else:
            _write(self._own / "new", content_type.encode(), self._type_path(key))

    @contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StorageUnavailable(f"{operation} of artifact {key!r} in {self._root} failed: {exc.strerror}") from exc


def _write(beside: Path, data: bytes | Path, path: Path) -> None:
    """Write to a file of its own in `beside`, then give it its name."""
    temporary = beside / f".{uuid.uuid4().hex}"
    try:
        _with_parent(temporary, lambda: _fill(temporary, data))
        _with_parent(path, lambda: os.replace(temporary, path))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _with_parent(path: Path, act: Callable[[], None]) -> None:
    """Act, with `path`'s folder made if that is what is missing; again, as a delete may remove it meanwhile."""
    for _ in range(_TRIES):
        try:
            act()
            return
        except FileNotFoundError:
            with suppress(FileExistsError, FileNotFoundError):  # mkdir itself may meet a delete
                path.parent.mkdir(parents=True, exist_ok=True)
    act()


def _fill(path: Path, data: bytes | Path) -> None:
    if isinstance(data, Path):
        shutil.copyfile(data, path)
    else:
        with path.open("xb", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]


def _artifact(path: Path, key: str) -> Artifact | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Artifact(key=key, size_bytes=found.st_size, modified_at=found.st_mtime)


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove `folder` and those above it while they are empty, below `root`."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:  # not empty, or removed by another
            return
        folder = folder.parent


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogateescape")
