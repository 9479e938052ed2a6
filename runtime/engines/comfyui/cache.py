"""ComfyUI's executor and what it keeps from job to job: bounded, by tenant, and nothing that is one job's alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runtime.engines.comfyui import internals
from runtime.engines.comfyui.keys import KeyMaker, Scope, bottom_up


class ResultCache:
    """The results of nodes that the executor keeps, at most `limit_bytes` of tensors.

    The executor itself keeps a bounded number, those used last. `new_executor` makes it once its key sets are ours.
    """

    def __init__(self, execution: Any, classes: Mapping[str, Any], new_executor: Callable[[], Any], limit_bytes: int):
        self._limit_bytes = limit_bytes
        self._maker: KeyMaker | None = None
        self._tenant: str | None = None
        self._sizes: dict[Any, int] = {}
        internals.use_key_sets(execution, lambda base: bottom_up(base, self._current, classes))
        self.executor = new_executor()

    def begin(self, scope: Scope) -> None:
        """Name results for the job of `scope`; another tenant's node objects are gone."""
        if scope.tenant != self._tenant:
            self.forget_objects()
        self._tenant = scope.tenant
        self._maker = KeyMaker(scope)

    def forget_objects(self) -> None:
        """Drop the node objects, which may hold what they read."""
        internals.forget_objects(self.executor)

    def end(self, volatile: Iterable[str]) -> None:
        """Drop the results of output nodes and of `volatile` ones, the job's own, and what is over the limit."""
        maker = self._current()
        lost = {
            internals.key_of(self.executor, node_id) for node_id in internals.with_dependents(self.executor, volatile)
        }
        for results, used in internals.results_of(self.executor):
            for key in [key for key in results if key in lost or maker.is_volatile(key)]:
                del results[key]
            _keep_only(used, results)
        self._bound()
        self._maker = None

    def clear(self) -> None:
        """Forget every result and every node object."""
        self.executor.reset()
        self._sizes.clear()

    def _current(self) -> KeyMaker:
        if self._maker is None:
            raise RuntimeError("ComfyUI asks for a cache key while no job runs")
        return self._maker

    def _bound(self) -> None:
        results, used = internals.results_of(self.executor)[0]
        self._sizes = {
            key: self._sizes.get(key) or _size(internals.tensors_of(entry)) for key, entry in results.items()
        }
        total = sum(self._sizes.values())
        for key in sorted(results, key=used.__getitem__):
            if total <= self._limit_bytes:
                return
            total -= self._sizes.pop(key)
            del results[key], used[key]


def _keep_only(used: Any, results: Mapping[Any, Any]) -> None:
    """ComfyUI notes the last use of every key that it was ever asked for; without this the notes grow for ever."""
    for key in [key for key in used if key not in results]:
        del used[key]


_ENTRY_BYTES = 500


def _size(value: Any) -> int:
    """The bytes of the tensors in a result's lists and mappings; a model counts as nothing, ComfyUI manages those."""
    total, stack = _ENTRY_BYTES, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack += item
        elif isinstance(item, Mapping):
            stack += item.values()
        elif hasattr(item, "untyped_storage"):
            total += int(item.untyped_storage().nbytes())
        elif isinstance(item, str | bytes):
            total += len(item)
    return total
