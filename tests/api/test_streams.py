from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from runtime.api.errors import RateLimited
from runtime.api.streams import Streams
from runtime.api.waiting import waited_for


def test_a_tenant_holds_so_many_open_and_another_its_own() -> None:
    streams = Streams(2)
    with streams.held("a"), streams.held("a"):
        assert streams.is_full("a")
        assert not streams.is_full("b")
        with pytest.raises(RateLimited, match=r"2 connections of this account .* \(MAX_STREAMS\)"):
            streams.refuse_more("a")
    streams.refuse_more("a")


def test_with_no_bound_nobody_is_refused() -> None:
    streams = Streams(0)
    with streams.held("a"):
        streams.refuse_more("a")


def test_one_stream_too_many_is_429_and_a_call_that_would_wait_answers_at_once(
    open_api: Callable[..., TestClient], workflow: Callable[..., Any]
) -> None:
    api = open_api(MAX_STREAMS="1")
    app: Any = api.app
    parts = app.state.parts
    job = api.post("/workflows/execute?wait=60", json={"workflow": workflow()}).json()
    with parts.streams.held(parts.tenant):
        assert api.get(f"/workflows/{job['job_id']}/events").status_code == 429
        record = parts.jobs.get(parts.tenant, job["job_id"])
        running = type(record)(**{**vars(record), "status": type(record.status).RUNNING})
        assert asyncio.run(waited_for(parts, running, 3600)) is running
    assert api.get(f"/workflows/{job['job_id']}/events").status_code == 200
    assert not parts.streams._held
