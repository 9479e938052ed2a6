"""The node types of a deployment's workers, kept in the object store for those who have no worker to ask.

One object an engine and deployment, `nodes/DEPLOYMENT/ENGINE.json.gz`: whoever tells last is believed.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.artifacts.store import ArtifactStore
from runtime.errors import ServerlessError

if TYPE_CHECKING:
    from runtime.engines.choice import Engines
    from runtime.engines.protocol import Engine

_log = logging.getLogger(__name__)

_FOLDER = "nodes/"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a deployment's workers have told: the engines that they offer, and the types of those that they told of."""

    offered: Sequence[str]
    types: Mapping[str, Mapping[str, Any]]

    @property
    def is_whole(self) -> bool:
        return self.types.keys() >= set(self.offered)


class NodeListing:
    """Tells of each engine once, in the background, after a job has needed it: a process's nodes do not change."""

    def __init__(self, store: ArtifactStore, background: Executor, *, deployment: str) -> None:
        self._store = store
        self._background = background
        self._deployment = deployment
        self._told: set[str] = set()

    def tell(self, engines: Engines) -> None:
        """Tell of those that are built and offered. Returns at once. On the thread that builds engines."""
        for name, engine in engines.built.items():
            if name in engines.offered and name not in self._told:
                self._told.add(name)
                self._background.submit(self._put, name, engine, engines.offered)

    def _put(self, name: str, engine: Engine, offered: Sequence[str]) -> None:
        try:
            listed = json.dumps({"offered": offered, "types": engine.object_info()})
            key = f"{_FOLDER}{self._deployment}/{name}.json.gz"
            self._store.put(key, gzip.compress(listed.encode()), "application/gzip")
        except ServerlessError as exc:  # jobs run without; the next worker tells of the same
            _log.warning("the node types of engine %s are not told of: %s", name, exc.message)
        except Exception:  # a custom node may raise anything while it is asked what it takes
            _log.exception("the node types of engine %s are not told of", name)


def read_listings(store: ArtifactStore) -> Iterable[Listed]:
    """What the workers of each deployment have told. Raises StorageUnavailable."""
    found: dict[str, list[str]] = {}
    for file in store.list(_FOLDER):
        found.setdefault(file.key.split("/")[1], []).append(file.key)
    for keys in found.values():
        offered: list[str] = []
        types: dict[str, Mapping[str, Any]] = {}
        for key in keys:
            data = store.get(key)
            if data is not None:
                told = json.loads(gzip.decompress(data))
                offered = told["offered"]
                types[key.rpartition("/")[2].removesuffix(".json.gz")] = told["types"]
        yield Listed(offered=offered, types=types)
