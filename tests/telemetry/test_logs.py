from __future__ import annotations

import json
import logging
import sys
import threading

import pytest

from runtime.telemetry.context import ContextPool, belonging_to, fields_now
from runtime.telemetry.logs import JsonFormatter, PlainFormatter, without_secrets


def record(message: str, *args: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("runtime.worker", logging.WARNING, __file__, 1, message, args, exc_info)


def test_a_line_is_an_object_with_what_it_belongs_to() -> None:
    with belonging_to(request_id="r1"), belonging_to(job_id="j1", tenant="acme"):
        line = json.loads(JsonFormatter().format(record("job %s is slow\n", "j1")))
    assert {"level": "WARNING", "logger": "runtime.worker", "message": "job j1 is slow\n"}.items() <= line.items()
    assert {"request_id": "r1", "job_id": "j1", "tenant": "acme"}.items() <= line.items()
    assert line["time"].endswith("Z")


def test_what_it_belongs_to_ends_with_the_block() -> None:
    with belonging_to(job_id="j1"):
        assert fields_now() == {"job_id": "j1"}
    assert fields_now() == {}


def test_it_goes_along_to_the_threads_of_a_pool_and_to_no_other() -> None:
    seen: list[object] = []
    with ContextPool(1) as pool:
        with belonging_to(job_id="j1"):
            assert pool.submit(fields_now).result() == {"job_id": "j1"}
            thread = threading.Thread(target=lambda: seen.append(fields_now()))
            thread.start()
            thread.join()
        assert pool.submit(fields_now).result() == {}
    assert seen == [{}]


def test_an_exception_is_told_with_its_place_and_without_its_secrets() -> None:
    try:
        raise ValueError("https://s3.example/a.png?X-Amz-Signature=abc is gone")
    except ValueError:
        line = json.loads(JsonFormatter().format(record("failed", exc_info=sys.exc_info())))
    assert "ValueError: https://s3.example/a.png?[hidden] is gone" in line["exception"]


def test_what_a_client_names_begins_no_line() -> None:
    forged = "Fail (node 3\n2026-01-01 ERROR runtime: all is lost\x1b[2K\u2028)"
    line = PlainFormatter().format(record("%s failed", forged))
    assert len(line.splitlines()) == 1
    assert "node 3\\n2026" in line


@pytest.mark.parametrize("part", ["http://", "eyJaaaaaaaa-", "csk_-", "https://a@"])
def test_a_text_that_is_made_to_be_slow_to_look_through_is_cut(part: str) -> None:
    assert len(without_secrets(part * 10**6)) < 20_000


def test_the_rest_of_a_secret_is_not_shown_where_a_text_is_cut() -> None:
    link = f"https://b.example/k?X-Amz-Signature={'ab' * 20_000}"
    assert "abab" not in without_secrets(f"GET {link} failed")
    assert without_secrets(f"GET {link} failed").endswith("failed")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://b.s3.amazonaws.com/k?X-Amz-Signature=1&x=2 ok", "GET https://b.s3.amazonaws.com/k?[hidden] ok"),
        ("to https://ada:secret@example.org/hook", "to https://[hidden]@example.org/hook"),
        ("key csk_acme_0123_456789abcdef", "key [hidden]"),
        ("Authorization: Bearer abc.def", "Authorization: [hidden]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "[hidden]"),
        ("whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "[hidden]"),
        ("what is it? nothing", "what is it? nothing"),
    ],
)
def test_what_opens_anything_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert shown in PlainFormatter().format(record("%s", text))
