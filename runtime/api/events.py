"""What happens to a job, as a stream: one look a second at the store for all who watch the same job."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ServerlessError
from runtime.jobs.record import JobKey, JobRecord, Status
from runtime.progress import Preview, Progress

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
QUIET_S = 15.0
"""After so long without an event a comment is sent, so that nobody between takes the connection for dead."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One server-sent event. `id` is the record's revision, by which a stream is resumed; None: it has none.

    `name` is `status`, `progress`, `preview`, `output`, or empty for a comment that only keeps the connection open.
    """

    name: str
    data: Any = None
    id: int | None = None


@dataclass(eq=False)
class _Watch:
    """A job that is watched: its record as of the last look, and the progress that its worker here told."""

    record: JobRecord | None = None
    live: Progress | None = None
    preview: Preview | None = None
    is_removed: bool = False
    watchers: int = 0
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    look: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be seen of the job: it has ended, or was removed."""
        return self.is_removed or (self.record is not None and self.record.status.is_terminal)

    def tell(self) -> None:
        """Wake everybody who waits for a change."""
        told, self.changed = self.changed, asyncio.Event()
        told.set()


class EventHub:
    """The watched jobs of this process. All but `note` is for the event loop's thread."""

    def __init__(
        self,
        find: Callable[[JobKey], JobRecord | None],
        *,
        find_preview: Callable[[JobKey], Preview | None] | None = None,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """`find_preview` reads the last preview of a job whose worker is elsewhere."""
        self._find = find
        self._find_preview = find_preview
        self._look_every_s = look_every_s
        self._watches: dict[JobKey, _Watch] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def note(self, key: JobKey, progress: Progress | None) -> None:
        """A worker in this process tells a job's progress, or with None that it has left the job. From any thread."""
        loop = self._loop
        if loop is not None and key in self._watches and not loop.is_closed():
            loop.call_soon_threadsafe(self._noted, key, progress)

    async def events(self, key: JobKey, *, after: int = 0) -> AsyncIterator[Event]:
        """The job's events until it has ended or is removed; of a state with a revision up to `after`, none.

        A state is told once, as it is when it is looked at: what was passed through between two looks is left out.
        """
        self._loop = asyncio.get_running_loop()
        watch = self._watches.setdefault(key, _Watch())
        watch.watchers += 1
        if watch.task is None:
            watch.task = asyncio.create_task(self._look(key, watch))
        try:
            async for event in self._follow(watch, after):
                yield event
        finally:
            watch.watchers -= 1
            if not watch.watchers:
                watch.task.cancel()
                self._watches.pop(key, None)

    async def _follow(self, watch: _Watch, seen: int) -> AsyncIterator[Event]:
        live: Progress | None = None
        preview: Preview | None = None
        while True:
            changed = watch.changed
            record = watch.record
            if record is not None and record.revision > seen:
                seen = record.revision
                for event in _told(record):
                    yield event
            if watch.is_over:
                return
            if watch.live is not None and watch.live != live:
                live = watch.live
                yield Event(name="progress", data=live.to_wire())
            if watch.preview is not None and watch.preview != preview:
                preview = watch.preview
                yield Event(name="preview", data=_shown(preview))
            try:
                await asyncio.wait_for(changed.wait(), QUIET_S)
            except asyncio.TimeoutError:
                yield Event(name="")

    async def _look(self, key: JobKey, watch: _Watch) -> None:
        while True:
            watch.look.clear()
            try:
                await self._look_once(key, watch)
            except ServerlessError as exc:  # the next look may find the store back
                _log.warning("a watched job could not be looked at: %s", exc.message)
            if watch.is_over:
                return
            try:
                await asyncio.wait_for(watch.look.wait(), self._look_every_s)
            except asyncio.TimeoutError:
                continue

    async def _look_once(self, key: JobKey, watch: _Watch) -> None:
        record = await asyncio.to_thread(self._find, key)
        if record is None and watch.record is not None:
            watch.is_removed = True
            watch.tell()
        if record is None or record == watch.record:
            return
        watch.record = record
        watch.tell()
        if self._find_preview is not None and watch.live is None and record.status is Status.RUNNING:
            watch.preview = await asyncio.to_thread(self._find_preview, key) or watch.preview
            watch.tell()

    def _noted(self, key: JobKey, progress: Progress | None) -> None:
        watch = self._watches.get(key)
        if watch is None:
            return
        if progress is None:
            watch.look.set()
        else:
            watch.live = progress.without_preview()
            watch.preview = progress.preview or watch.preview
            watch.tell()


def _shown(preview: Preview) -> dict[str, Any]:
    data = base64.b64encode(preview.data).decode()
    return {"content_type": "image/jpeg", "width": preview.width, "height": preview.height, "data": data}


def _told(record: JobRecord) -> list[Event]:
    outputs = [
        Event(name="output", data={"node_id": made.node_id, "kind": made.kind, "filename": made.filename})
        for made in record.outputs
    ]
    status: dict[str, Any] = {"execution_id": record.job_id, "status": record.status.value, "attempt": record.attempt}
    if record.progress is not None and not record.status.is_terminal:
        status["progress"] = record.progress.to_wire()
    if record.error is not None:
        status["error"] = {"code": record.error.code, "message": record.error.message}
    return [*outputs, Event(name="status", data=status, id=record.revision)]
