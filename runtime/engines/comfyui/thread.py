"""The one thread that ComfyUI lives on, with an event loop of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")


class ComfyThread:
    """Runs one call after the other on a thread named `comfyui`; who calls waits for the answer."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="comfyui")
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def owner(self) -> threading.Thread | None:
        """The thread itself, once it has been called."""
        return next(iter(self._pool._threads), None)

    def call(self, function: Callable[[], _T]) -> _T:
        """What `function` returns or raises."""
        return self._pool.submit(function).result()

    def settle(self, answer: Any) -> Any:
        """The answer itself, awaited where it is awaitable; called on this thread alone.

        The loop outlives the job, so that what a node class keeps of it goes on to work; tasks that a job left behind
        do not.
        """
        if not inspect.isawaitable(answer):
            return answer
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        try:
            return self._loop.run_until_complete(_awaited(answer))
        finally:
            _cancel_all(self._loop)

    def close(self) -> None:
        """End the thread once it is through."""
        self._pool.shutdown(wait=True)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks: set[asyncio.Task[Any]] = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
