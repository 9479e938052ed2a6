"""The receivers of docs/webhooks.md, run as they stand there."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.errors import InputUnreachable
from runtime.fetch.access import WebAccess
from runtime.webhooks.post import post
from runtime.webhooks.signature import Signer
from scripts import node_servers

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
SECRET = "whsec_" + base64.b64encode(b"n" * 24).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 24).decode()
BODY = '{"type":"job.completed","data":{"job_id":"jöb","status":"completed"}}'.encode()
LOCAL = WebAccess(allow_private=True)


class Receiver:
    """A receiver's process; `lines` gives what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{self.line().rpartition(' ')[2]}/"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def send(self, message_id: str = "msg_1", *, secret: str = SECRET, ago_s: int = 0, body: bytes = BODY) -> None:
        headers = Signer.parse(secret).headers(message_id, int(time.time()) - ago_s, BODY)
        post(self.url, body, headers, LOCAL)


@pytest.fixture(params=["python", "javascript"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    (code,) = re.findall(rf"^```{request.param}\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    runner = sys.executable if request.param == "python" else node_servers._node_file("bin/node")
    script = tmp_path / {"python": "receiver.py", "javascript": "receiver.js"}[request.param]
    script.write_text(code)
    env = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": "0", "PYTHONIOENCODING": "utf-8"}
    command = [runner, str(script)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8") as run:
        try:
            yield Receiver(run)
        finally:
            run.kill()


def test_a_message_is_verified_and_one_that_comes_twice_is_taken_once(receiver: Receiver) -> None:
    for message_id in ("msg_1", "msg_1", "msg_2"):
        receiver.send(message_id)
    assert [receiver.line(), receiver.line()] == ["job.completed jöb completed"] * 2
    receiver.process.kill()
    assert receiver.line() == ""


def test_a_receiver_takes_the_old_secret_while_another_replaces_it(receiver: Receiver) -> None:
    receiver.send(secret=f"{OTHER},{SECRET}")
    assert receiver.line() == "job.completed jöb completed"


WRONG: dict[str, Callable[[Receiver], None]] = {
    "another secret": lambda receiver: receiver.send(secret=OTHER),
    "another body": lambda receiver: receiver.send(body=BODY + b" "),
    "long ago": lambda receiver: receiver.send(ago_s=400),
    "no headers": lambda receiver: post(receiver.url, BODY, {}, LOCAL),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_genuine_is_refused(receiver: Receiver, wrong: str) -> None:
    with pytest.raises(InputUnreachable, match="answered 401"):
        WRONG[wrong](receiver)
