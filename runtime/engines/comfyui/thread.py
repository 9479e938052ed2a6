"""The one thread that ComfyUI lives on, and the one that its server's event loop runs on.

Both can rest: a memory snapshot holds no thread, while what ComfyUI keeps of the loops goes on to work after it.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from runtime.telemetry.context import ContextPool

_T = TypeVar("_T")


class ComfyThread:
    """Runs one call after the other on a thread named `comfyui`; who calls waits for the answer."""

    def __init__(self) -> None:
        self._pool = self._new_pool()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def owner(self) -> threading.Thread | None:
        """The thread itself, once it has been called."""
        return next(iter(self._pool._threads), None)

    def call(self, function: Callable[[], _T]) -> _T:
        """What `function` returns or raises."""
        return self._pool.submit(function).result()

    def call_soon(self, function: Callable[[], _T], *, within_s: float, otherwise: Callable[[], _T]) -> _T:
        """What `function` answers, if the thread comes to it within `within_s` seconds, else what `otherwise` does."""
        answer = self._pool.submit(function)
        wait((answer,), timeout=within_s)
        return otherwise() if answer.cancel() else answer.result()

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

    def rest(self) -> None:
        """End the thread once it is through; the next call starts another one, with the same loop."""
        self._pool.shutdown(wait=True)
        self._pool = self._new_pool()

    def close(self) -> None:
        """End the thread once it is through, and its loop: nothing can be called any more."""
        self._pool.submit(self._close_loop).result()
        self._pool.shutdown(wait=True)

    def _new_pool(self) -> ThreadPoolExecutor:
        return ContextPool(1, thread_name_prefix="comfyui", initializer=self._adopt_loop)

    def _adopt_loop(self) -> None:
        if self._loop is not None:
            asyncio.set_event_loop(self._loop)

    def _close_loop(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            asyncio.set_event_loop(None)


class LoopThread:
    """An event loop that runs on a thread of its own, named `comfyui-loop`, unless it rests."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run the loop, if it does not run yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.loop.run_forever, name="comfyui-loop", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        """End the thread; what waits in the loop waits for the next start."""
        if self._thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """End the thread and the loop, with whatever waits in it."""
        self.rest()
        _cancel_all(self.loop)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks: set[asyncio.Task[Any]] = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
