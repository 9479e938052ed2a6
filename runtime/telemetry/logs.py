"""The log: lines for people, or JSON objects for machines, each with what it belongs to, and without secrets."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timezone

from runtime.telemetry.context import fields_now

_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_QUERY = re.compile(r"(\bhttps?://[^\s?'\"<>]*)\?[^\s'\"<>]+")
_USER = re.compile(r"(\bhttps?://)[^\s/@'\"]+@")
_TOKEN = re.compile(r"\b(csk|csr|whsec)_[A-Za-z0-9_+/=-]{8,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?i:\bBearer )\S+")


_LONGEST = 16_000  # characters of a message: looking for secrets takes the square of them where somebody means it to
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def without_secrets(text: str) -> str:
    """The text without the queries and passwords of addresses, keys, tokens and webhook secrets, whoever wrote it.

    Of a very long one the middle is left out.
    """
    if len(text) > _LONGEST:
        _, _, end = text[-_LONGEST // 2 :].partition(" ")  # the rest of a word may be the rest of a secret
        text = f"{text[: _LONGEST // 2]} ... {end}"
    return _TOKEN.sub("[hidden]", _USER.sub(r"\1[hidden]@", _QUERY.sub(r"\1?[hidden]", text)))


class PlainFormatter(logging.Formatter):
    """One line for people; the job's id behind it where there is one.

    What a client can name (a node's id, a file) may hold line ends: they begin no line of the log.
    """

    def __init__(self) -> None:
        super().__init__(_PLAIN)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        about = " ".join(f"{name}={value}" for name, value in fields_now().items())
        return without_secrets(super().format(record)) + (f" [{about}]" if about else "")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, ids, and an exception's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        told = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            "thread": record.threadName,
            **fields_now(),
        }
        if record.exc_info:
            told["exception"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False)


def log_to_stderr(level: str, form: str, *, alone: bool = False) -> None:
    """Write the log of this process to standard error, from severity `level` on, as `text` or `json`.

    Where the process has a log already, that stays unless this one shall be `alone`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else PlainFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=alone)
