"""Brings models into memory before a job asks for them, on one thread beside the one that computes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runtime.cancellation import CancelFlag
from runtime.engines.choice import Engines
from runtime.errors import ServerlessError
from runtime.graph.workflow import parse_workflow, read_json
from runtime.models.fetcher import ModelFetcher
from runtime.models.manifest import ManifestModel
from runtime.models.model_names import model_names
from runtime.request import JobRequest

if TYPE_CHECKING:
    from runtime.engines.native.engine import NativeEngine

_MOST_EXPECTED = 2  # what is known of jobs further back may be stale, or driven out again, when their turn comes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Preloaded:
    """What became of a model that the manifest marks: `tier` is where it was asked for, `problem` why it is not."""

    name: str
    tier: str
    seconds: float
    problem: str | None = None


class ModelLoader:
    """The worker's loader. Its thread starts with the first model to load, and none is there before.

    What goes wrong here fails no job: one that needs the model tries again itself, and says what is amiss.
    """

    def __init__(self, engines: Engines, fetcher: ModelFetcher) -> None:
        self._engines = engines
        self._fetcher = fetcher
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._lock = threading.Lock()
        self._expected = 0
        self._preloaded: list[Preloaded] = []

    @property
    def preloaded(self) -> Sequence[Preloaded]:
        """The manifest's marked models that were dealt with so far."""
        return tuple(self._preloaded)

    def preload(self) -> Future[None]:
        """Begin to load what the manifest marks; the future is done when each is there, or known not to come."""
        engine: Any = self._engines.get("native")
        models = [model for model in self._fetcher.manifest.models if model.preload is not None]
        if not models:
            return _done()
        return self._pool.submit(self._preload, engine, models)

    def expect(self, request: JobRequest) -> None:
        """Begin to load what the graph of a waiting job names, beside the job at work."""
        with self._lock:
            if self._expected >= _MOST_EXPECTED:
                return
            self._expected += 1
        self._pool.submit(self._warm, request)

    def health(self) -> list[Mapping[str, Any]]:
        """The marked models as they came in, for people to read."""
        return [asdict(model) for model in self._preloaded]

    def close(self) -> None:
        """Wait for what is being loaded, and end the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _preload(self, engine: NativeEngine, models: Sequence[ManifestModel]) -> None:
        for model in models:
            begun = time.perf_counter()
            problem = self._bring(engine, model)
            if problem is not None:
                _log.error("%s is not preloaded: %s", model.path, problem)
            seconds = round(time.perf_counter() - begun, 4)
            self._preloaded.append(
                Preloaded(name=model.path, tier=str(model.preload), seconds=seconds, problem=problem)
            )

    def _bring(self, engine: NativeEngine, model: ManifestModel) -> str | None:
        """Load one marked model, from its source if the volume lacks it; what went wrong, if anything did."""
        try:
            self._fetcher.bring(model, CancelFlag())
            if not engine.warm(model.kind, model.name, tier=model.preload):
                return f"no node of the native engine loads models of {model.folder}"
        except ServerlessError as exc:
            return exc.message
        except Exception as exc:  # a worker without one model serves the jobs that do not name it
            _log.exception("%s is not preloaded", model.path)
            return f"{type(exc).__name__}: {exc}"
        return None

    def _warm(self, request: JobRequest) -> None:
        try:
            workflow = request.workflow
            graph = parse_workflow(read_json(workflow) if isinstance(workflow, str) else workflow)
            engine: Any = self._engines.choose(graph, request.engine)
            if engine.name == "native":
                for named in model_names(graph):
                    if named.kind is not None:
                        engine.warm(named.kind, named.name)
        except Exception as exc:  # the job itself will meet it, and answer for it
            _log.info("the models of a waiting job are not loaded ahead: %s", exc)
        finally:
            with self._lock:
                self._expected -= 1


def _done() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
