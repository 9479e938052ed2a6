"""The models that a graph names, brought onto the volume before the graph is checked."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

from runtime.cancellation import CancelFlag
from runtime.errors import InputRejected, ModelError, ModelMissing, ModelUnsafe, ServerlessError
from runtime.fetch.url import WebUrl
from runtime.graph.workflow import Graph
from runtime.models.folders import KINDS, SUFFIXES
from runtime.models.manifest import Manifest, ManifestModel
from runtime.models.model_names import ModelName, model_names
from runtime.models.sync.syncer import Syncer, Transfer, Wanted, Watch
from runtime.models.sync.users import Users
from runtime.near_names import near_names
from runtime.progress import Progress, ProgressSink

_URL = re.compile(r"^https?://", re.IGNORECASE)
_SAFE_SUFFIXES = (".safetensors", ".sft")
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_STEM = 80
_REPORT_S = 0.25
_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class UrlRules:
    """Which URLs a graph may name in a model's place: those of `hosts`, up to `most_bytes`."""

    hosts: Sequence[str] = ()
    most_bytes: int = 20_000_000_000


@dataclass(frozen=True, kw_only=True)
class _Need:
    """A file that a graph needs, where it is named, and what the engine shall find in that place."""

    named: ModelName
    wanted: Wanted
    name: str
    syncer: Syncer


class ModelFetcher:
    """Sees to it that the models of a graph are on the volume, as far as the manifest or a URL says where they are.

    `syncer` fetches what the manifest names, `url_syncer` what a graph gives a URL of: it reaches public addresses
    alone and holds no token. With `enabled` False nothing that the manifest names is fetched, aliases are still read.
    `others` has what the manifest keeps for other deployments, to be named where somebody misses it.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        syncer: Syncer,
        url_syncer: Syncer,
        users: Users,
        enabled: bool = True,
        urls: UrlRules | None = None,
        others: Manifest | None = None,
    ) -> None:
        self._manifest = manifest
        self._others = others or Manifest()
        self._syncer = syncer
        self._url_syncer = url_syncer
        self._users = users
        self._enabled = enabled
        self._urls = urls or UrlRules()

    @contextmanager
    def ensure(self, graph: Graph, flag: CancelFlag, on_progress: ProgressSink) -> Iterator[Graph]:
        """The graph with every model under the name of its file, which nobody removes from the volume meanwhile.

        A name that neither the manifest nor a URL explains is left for the check to judge. Raises ModelMissing,
        ModelCorrupt, ModelUnsafe or InputRejected naming the node, InputUnreachable where a later attempt may succeed,
        StorageUnavailable where the volume has no room, and what `flag` raises.
        """
        names = list(model_names(graph))
        needs = [need for need in map(self._need, names) if need is not None]
        with self._users.using([need.wanted.path for need in needs]):
            for need in needs:
                self._bring(need, flag, _telling(need.named, len(graph), on_progress))
            try:
                yield _renamed(graph, needs)
            except ModelMissing as exc:
                if hint := self._hint(exc.message, names):
                    raise ModelMissing(exc.message + hint, node_id=exc.node_id, node_errors=exc.node_errors) from exc
                raise

    @property
    def manifest(self) -> Manifest:
        """The models that this deployment takes."""
        return self._manifest

    def bring(self, model: ManifestModel, flag: CancelFlag) -> None:
        """Have one of the manifest's models on the volume, as before it is preloaded. Errors as of `ensure`."""
        if self._enabled and not self._syncer.has(wanted_of(model)):
            self._syncer.fetch(wanted_of(model), check=flag.check, wait=_waiting(flag))

    def close(self) -> None:
        """End the thread that marks what is in use."""
        self._users.close()

    def _need(self, named: ModelName) -> _Need | None:
        if named.kind is not None and _URL.match(named.name):
            return self._need_of_url(named, named.kind)
        model = self._find(named)
        if model is None:
            return None
        wanted = wanted_of(model)
        return _Need(named=named, wanted=wanted, name=model.name, syncer=self._syncer)

    def _find(self, named: ModelName) -> ManifestModel | None:
        """The manifest's model of that name. In an input that is not known, a file name that only one model has."""
        if named.kind is not None:
            spellings = [named.name, *(named.name + suffix for suffix in SUFFIXES if named.input is None)]
            found = (self._manifest.find(named.kind, spelling) for spelling in spellings)
            return next((model for model in found if model is not None), None)
        if not named.name.lower().endswith(SUFFIXES):
            return None
        models = [model for model in self._manifest.models if named.name in model.names]
        return models[0] if len(models) == 1 else None

    def _need_of_url(self, named: ModelName, kind: str) -> _Need:
        try:
            url = WebUrl.parse(named.name)
            if url.host not in self._urls.hosts:
                allowed = ", ".join(self._urls.hosts) or "no host"
                raise ModelMissing(f"{url} is no model of this deployment, whose MODEL_URL_HOSTS allows {allowed}")
            name = f"from_url/{_file_name(named.name, url)}"
        except (InputRejected, ModelError) as exc:
            raise _placed(exc, named) from exc
        wanted = Wanted(path=f"{KINDS[kind][0]}/{name}", sources=[named.name], most_bytes=self._urls.most_bytes)
        return _Need(named=named, wanted=wanted, name=name, syncer=self._url_syncer)

    def _bring(self, need: _Need, flag: CancelFlag, watch: Watch) -> None:
        flag.check()
        if self._is_there(need) or (need.syncer is self._syncer and not self._enabled):
            return
        try:
            need.syncer.fetch(need.wanted, check=flag.check, wait=_waiting(flag), watch=watch)
        except ModelError as exc:
            raise _placed(exc, need.named) from exc

    def _is_there(self, need: _Need) -> bool:
        """Also where the kind has several folders and it was put into another of them by hand."""
        folders = KINDS.get(need.named.kind or "", ())
        return need.syncer.has(need.wanted) or any(
            need.syncer.has(replace(need.wanted, path=f"{folder}/{need.name}")) for folder in folders
        )

    def _hint(self, message: str, names: Sequence[ModelName]) -> str:
        """What the manifest has to do with it, of which the check, that looks at the volume, knows nothing."""
        missed = {(named.kind, named.name) for named in names if named.kind is not None and named.name in message}
        found = ((name, self._others.find(kind, name)) for kind, name in sorted(missed))
        elsewhere = [f"{name} for {', '.join(model.deployments)}" for name, model in found if model is not None]
        if elsewhere:
            return f"; the manifest has {', '.join(elsewhere)} alone (DEPLOYMENT)"
        near = {
            name: None
            for kind, spelling in sorted(missed)
            for name in near_names(spelling, self._manifest.names(kind))
            if name not in message
        }
        return f"; the manifest has near it: {', '.join(near)}" if near else ""


def wanted_of(model: ManifestModel) -> Wanted:
    """What the manifest wants on the volume."""
    return Wanted(
        path=model.path,
        sources=model.sources,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        pinned=model.pinned,
    )


def _waiting(flag: CancelFlag) -> Callable[[float], None]:
    def wait(seconds: float) -> None:
        flag.check()
        time.sleep(seconds)

    return wait


def _telling(named: ModelName, nodes_total: int, on_progress: ProgressSink) -> Watch:
    """A watch that reports a fetch as steps of the node that needs it, a megabyte each."""
    due = 0.0

    def tell(transfer: Transfer) -> None:
        nonlocal due
        is_whole = transfer.done_bytes == transfer.total_bytes
        if time.monotonic() < due and not is_whole:
            return
        due = time.monotonic() + _REPORT_S
        on_progress(
            Progress(
                node_id=named.node_id,
                class_type=named.class_type,
                nodes_total=nodes_total,
                step=transfer.done_bytes // _MEGABYTE,
                steps=-(-(transfer.total_bytes or 0) // _MEGABYTE),
            )
        )

    return tell


def _file_name(text: str, url: WebUrl) -> str:
    """A name that is this URL's alone and can be read by people; only a format that runs no code is taken."""
    base = PurePosixPath(unquote(url.path)).name
    suffix = PurePosixPath(base).suffix.lower()
    if suffix in SUFFIXES and suffix not in _SAFE_SUFFIXES:
        raise ModelUnsafe(f"{url} is a {suffix} file, which may hold code; expected .safetensors")
    stem = base[: -len(suffix)] if suffix in _SAFE_SUFFIXES else base
    stem = _FOREIGN.sub("_", stem).strip("._")[:_LONGEST_STEM] or "model"
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}_{stem}.safetensors"


def _renamed(graph: Graph, needs: Sequence[_Need]) -> Graph:
    """`graph` with the files' own names in the models' places; its JSON too, which pictures carry."""
    changed: dict[str, dict[str, str]] = {}
    for need in needs:
        if need.named.input is not None and need.named.name != need.name:
            changed.setdefault(need.named.node_id, {})[need.named.input] = need.name
    if not changed:
        return graph
    source = {str(id): node for id, node in graph.source.items()}
    nodes = dict(graph.nodes)
    for id, inputs in changed.items():
        nodes[id] = replace(nodes[id], inputs={**nodes[id].inputs, **inputs})
        source[id] = {**source[id], "inputs": {**source[id]["inputs"], **inputs}}
    return Graph(nodes=nodes, source=source)


def _placed(exc: ServerlessError, named: ModelName) -> ServerlessError:
    place = f"{named.class_type} (node {named.node_id})"
    return type(exc)(f"{place}: {exc.message}", node_id=named.node_id)
