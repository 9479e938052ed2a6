"""A receiver on loopback that answers as it is told, and jobs whose end it is to be told of."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import SystemClock
from runtime.fetch.access import WebAccess
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status, StoredOutput, WebhookTarget
from runtime.jobs.sqlite import SqliteJobStore
from runtime.webhooks.courier import Courier
from runtime.webhooks.signature import Signer

SECRET = "whsec_" + base64.b64encode(b"n" * 24).decode()


@dataclass
class Receiver:
    """What was received, and what is answered: `answers` in their order, then 204."""

    url: str = ""
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    heard: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    before: Callable[[], object] = lambda: None

    def wait(self) -> None:
        """Until one message more has been answered."""
        assert self.heard.acquire(timeout=20)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # two sweepers call with 32 threads

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up in the middle is what some tests are about."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((dict(self.headers), body))
            receiver.before()
            status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            receiver.heard.release()

        def log_message(self, *_: object) -> None:
            """Tests read what was received."""

    server = _Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook/s3cret?token=s3cret"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


class ShiftedClock(SystemClock):
    """The machine's clock, moved: what receivers verify is compared with the true time."""

    ahead_s = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead_s


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def jobs(tmp_path: Path, clock: ShiftedClock) -> Iterator[SqliteJobStore]:
    store = SqliteJobStore(tmp_path / "jobs.db", clock=clock)
    yield store
    store.close()


@pytest.fixture
def make_courier(tmp_path: Path, jobs: SqliteJobStore, clock: ShiftedClock) -> Callable[..., Courier]:
    artifacts = FolderArtifactStore(tmp_path / "artifacts", base_url="http://files", clock=clock)

    def make(secret: str = SECRET, **access: Any) -> Courier:
        web = WebAccess(**{"allow_private": True, "read_timeout_s": 5.0, **access})
        return Courier(jobs=jobs, artifacts=artifacts, signer=Signer.parse(secret), access=web, clock=clock)

    return make


@pytest.fixture
def courier(make_courier: Callable[..., Courier]) -> Courier:
    return make_courier()


@pytest.fixture
def facts(receiver: Receiver) -> JobFacts:
    """A job of which everything is to be told."""
    target = WebhookTarget(url=receiver.url, events=("completed", "failed", "progress"), url_ttl_s=600)
    return JobFacts(
        tenant="acme", job_id="job-1", user_id="ada", request_sha256="a" * 64, workflow_sha256="b" * 64, webhook=target
    )


@pytest.fixture
def claim(jobs: SqliteJobStore, facts: JobFacts) -> Claim:
    """The job, running."""
    claim = jobs.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    return claim


@pytest.fixture
def held(jobs: SqliteJobStore, claim: Claim) -> JobRecord:
    """The job, completed, with its webhook held by who completed it."""
    output = StoredOutput(
        node_id="9",
        kind="image",
        filename="a.png",
        key="outputs/acme/job-1/1/9_0_a.png",
        content_type="image/png",
        size_bytes=4,
        sha256="c" * 64,
    )
    return jobs.finish(claim, Outcome(status=Status.COMPLETED, engine="native", outputs=(output,)))
