"""What a line of the log, and a span of a trace, belong to: carried by the calling context, from thread to thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

_fields: ContextVar[Mapping[str, str] | None] = ContextVar("log_fields", default=None)


@contextmanager
def belonging_to(**fields: str) -> Iterator[None]:
    """Within the block, `request_id`, `job_id`, `tenant` or `user_id` are as given."""
    token = _fields.set({**fields_now(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def fields_now() -> Mapping[str, str]:
    """What this thread, or task, is at work for."""
    return _fields.get() or {}


class ContextPool(ThreadPoolExecutor):
    """Threads that work for whom the call was submitted by."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, fn, *args, **kwargs)
