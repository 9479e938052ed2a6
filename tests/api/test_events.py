from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from runtime.api.events import Event, EventHub
from runtime.errors import StateUnavailable
from runtime.jobs.record import JobKey, JobRecord, Status, StoredOutput
from runtime.progress import Preview, Progress

KEY = JobKey("t", "j")
RECORD = JobRecord(
    tenant="t",
    job_id="j",
    request_sha256="r",
    workflow_sha256="w",
    status=Status.PENDING,
    created_at="2026-01-01T00:00:00.000000Z",
    revision=1,
)
OUTPUT = StoredOutput(
    node_id="2", kind="image", filename="a.png", key="k", content_type="image/png", size_bytes=1, sha256="s"
)
DONE = replace(RECORD, status=Status.COMPLETED, revision=3, outputs=(OUTPUT,))


class Store:
    """One job, and how often it was looked at."""

    def __init__(self, *states: JobRecord | StateUnavailable | None) -> None:
        self.states = list(states)
        self.looks = 0

    def find(self, key: JobKey) -> JobRecord | None:
        assert key == KEY
        self.looks += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, StateUnavailable):
            raise state
        return state


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


def told(hub: EventHub, **options: Any) -> list[tuple[str, int | None]]:
    events = asyncio.run(all_of(hub.events(KEY, **options)))
    return [(event.name, event.id) for event in events]


def test_every_state_is_told_by_its_revision_until_the_end() -> None:
    running = replace(RECORD, status=Status.RUNNING, revision=2, progress=Progress(step=1, steps=2))
    hub = EventHub(Store(RECORD, running, DONE).find, look_every_s=0.001)
    assert told(hub) == [("status", 1), ("status", 2), ("output", None), ("status", 3)]


def test_what_was_seen_is_not_told_again() -> None:
    assert told(EventHub(Store(DONE).find), after=3) == []
    assert told(EventHub(Store(DONE).find), after=2) == [("output", None), ("status", 3)]


def test_a_store_that_does_not_answer_once_ends_no_stream() -> None:
    hub = EventHub(Store(RECORD, StateUnavailable("away"), DONE).find, look_every_s=0.001)
    assert told(hub) == [("status", 1), ("output", None), ("status", 3)]


def test_the_stream_of_a_job_that_is_removed_ends() -> None:
    assert told(EventHub(Store(RECORD, None).find, look_every_s=0.001)) == [("status", 1)]


def test_all_who_watch_a_job_share_its_looks() -> None:
    store = Store(DONE)
    hub = EventHub(store.find)

    async def watch() -> list[list[Event]]:
        return await asyncio.gather(*(all_of(hub.events(KEY)) for _ in range(50)))

    streams = asyncio.run(watch())
    assert all(stream == streams[0] and stream for stream in streams)
    assert store.looks == 1


def test_a_worker_in_this_process_tells_progress_and_the_end_at_once() -> None:
    store = Store(RECORD)
    hub = EventHub(store.find, look_every_s=3600)

    async def watch() -> list[Event]:
        events = hub.events(KEY)
        first = await anext(events)
        hub.note(KEY, Progress(node_id="3", step=1, steps=2))
        second = await anext(events)
        store.states = [DONE]
        hub.note(KEY, None)
        return [first, second, *[event async for event in events]]

    events = asyncio.run(watch())
    assert [event.name for event in events] == ["status", "progress", "output", "status"]
    assert events[1].data["step"] == 1


def test_a_job_that_nobody_watches_any_more_is_not_looked_at() -> None:
    store = Store(RECORD)
    hub = EventHub(store.find, look_every_s=0.001)

    async def watch() -> int:
        events = hub.events(KEY)
        await anext(events)
        await events.aclose()
        looks = store.looks
        await asyncio.sleep(0.02)
        return store.looks - looks

    assert asyncio.run(watch()) <= 1


def test_a_preview_is_pushed_as_it_comes_and_not_twice() -> None:
    running = replace(RECORD, status=Status.RUNNING, revision=2)
    hub = EventHub(Store(running, running, DONE).find, look_every_s=0.001)
    told: list[Event] = []

    async def follow() -> None:
        async for event in hub.events(KEY):
            told.append(event)
            if event.id == 2:
                picture = Preview(data=b"jpeg", width=4, height=2)
                for step in (1, 2):
                    hub.note(KEY, Progress(step=step, steps=2, preview=picture))

    asyncio.run(follow())
    (shown,) = [event for event in told if event.name == "preview"]
    assert shown.data == {"content_type": "image/jpeg", "width": 4, "height": 2, "data": "anBlZw=="}


def test_the_preview_of_a_worker_elsewhere_is_looked_for_with_its_state() -> None:
    running = replace(RECORD, status=Status.RUNNING, revision=2)
    picture = Preview(data=b"jpeg", width=4, height=2)
    hub = EventHub(Store(RECORD, running, DONE).find, find_preview=lambda key: picture, look_every_s=0.001)
    assert ("preview", None) in told(hub)
