"""Outputs that the artifact store did not take, kept on the worker's disk for the next attempt at the same request."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from runtime.artifacts.delivery import Delivered, Delivery
from runtime.artifacts.store import ArtifactStore
from runtime.clock import Clock
from runtime.errors import StorageUnavailable

KEPT_BYTES = 4 << 30
"""The most that is kept; what is oldest goes first."""
KEPT_S = 86_400.0

_MANIFEST = "outputs.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What one attempt has computed, whole."""

    engine: str | None
    warnings: tuple[str, ...]
    outputs: tuple[Delivered, ...]


class KeptOutputs:
    """A bounded folder of outputs, by the tenant and the SHA-256 of the request that they are of.

    `disk` holds the files; what had reached `store` before it failed is read from there again.
    """

    def __init__(
        self, disk: ArtifactStore, store: ArtifactStore, clock: Clock, *, limit_bytes: int = KEPT_BYTES
    ) -> None:
        self._disk = disk
        self._store = store
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._names: set[str] | None = None

    def keep(self, name: str, kept: Kept) -> bool:
        """Keep the outputs; False where there is no room for them."""
        size_bytes = sum(len(output.data or b"") for output in kept.outputs)
        try:
            self._make_room(size_bytes)
            for place, output in enumerate(kept.outputs):
                if output.data is not None:
                    self._disk.put(f"{name}/{place}", output.data, output.content_type)
            self._disk.put(f"{name}/{_MANIFEST}", _manifest(kept), "application/json")
        except StorageUnavailable as exc:
            _log.error("outputs that the store did not take could not be kept: %s", exc.message)
            self.forget(name)
            return False
        self._known().add(name)
        return True

    def find(self, name: str) -> Kept | None:
        """What is kept under `name`, if all of it is still there. Raises StorageUnavailable where nobody can tell."""
        kept = self._manifest(name) if name in self._known() else None
        if kept is None:
            return None
        if all(self._stat(name, place, output) for place, output in enumerate(kept.outputs)):
            return kept
        self.forget(name)
        return None

    def deliver(self, name: str, kept: Kept, delivery: Delivery) -> None:
        """Hand the kept outputs to `delivery`."""
        for place, output in enumerate(kept.outputs):
            delivery.again(output, partial(self._bytes, name, place, output))

    def forget(self, name: str) -> None:
        """Give the room back, in the store too."""
        self._known().discard(name)
        try:
            kept = self._manifest(name)
            mine = [artifact.key for artifact in self._disk.list(f"{name}/")]
            for place, output in enumerate(kept.outputs if kept else ()):
                if f"{name}/{place}" not in mine:
                    self._store.delete(output.key)
            for key in mine:
                self._disk.delete(key)
        except StorageUnavailable as exc:  # an orphan, which the sweeper removes
            _log.warning("%s", exc.message)

    def _known(self) -> set[str]:
        """The names of what is kept; looked up once, as every request pays for it."""
        if self._names is None:
            try:
                self._names = {artifact.key.partition("/")[0] for artifact in self._disk.list("")}
            except StorageUnavailable as exc:
                _log.warning("%s", exc.message)
                self._names = set()
        return self._names

    def _manifest(self, name: str) -> Kept | None:
        try:
            manifest = self._disk.get(f"{name}/{_MANIFEST}")
            return None if manifest is None else _read(manifest)
        except (StorageUnavailable, ValueError, KeyError, TypeError) as exc:  # a disk of our own that lost it
            _log.warning("kept outputs cannot be read: %s", exc)
            return None

    def _stat(self, name: str, place: int, output: Delivered) -> bool:
        found = self._disk.stat(f"{name}/{place}") or self._store.stat(output.key)
        return found is not None and found.size_bytes == output.size_bytes

    def _bytes(self, name: str, place: int, output: Delivered) -> bytes:
        data = self._disk.get(f"{name}/{place}")
        if data is None:
            data = self._store.get(output.key)
        if data is None:
            raise StorageUnavailable(f"{output.name} is not kept any more")
        return data

    def _make_room(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise StorageUnavailable(
                f"{size_bytes} bytes of outputs are more than the {self._limit_bytes} that are kept"
            )
        ages = sorted(self._ages(), reverse=True)
        used_bytes = sum(size for _, size, _ in ages)
        for age_s, size, name in ages:
            if age_s <= KEPT_S and used_bytes + size_bytes <= self._limit_bytes:
                return
            self.forget(name)
            used_bytes -= size

    def _ages(self) -> Iterator[tuple[float, int, str]]:
        """Of everything kept: its age in seconds, its size in bytes, its name."""
        found: dict[str, tuple[float, int]] = {}
        for artifact in self._disk.list(""):
            name = artifact.key.partition("/")[0]
            modified_at, size = found.get(name, (0.0, 0))
            found[name] = max(modified_at, artifact.modified_at), size + artifact.size_bytes
        for name, (modified_at, size) in found.items():
            yield self._clock.wall() - modified_at, size, name


def _manifest(kept: Kept) -> bytes:
    outputs = [{key: value for key, value in vars(output).items() if key != "data"} for output in kept.outputs]
    return json.dumps({"engine": kept.engine, "warnings": kept.warnings, "outputs": outputs}).encode()


def _read(manifest: bytes) -> Kept:
    held = json.loads(manifest)
    outputs: Sequence[Delivered] = [Delivered(**output) for output in held["outputs"]]
    return Kept(engine=held["engine"], warnings=tuple(held["warnings"]), outputs=tuple(outputs))
