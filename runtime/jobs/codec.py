"""A job record as a JSON document, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from runtime.errors import StateUnavailable
from runtime.jobs.record import (
    SCHEMA_VERSION,
    Dispatch,
    DueWebhook,
    JobError,
    JobRecord,
    JobSummary,
    Origin,
    Status,
    StoredOutput,
    Timings,
    WebhookTarget,
)
from runtime.progress import Progress

Document = dict[str, Any]


def _webhook(*, events: Sequence[str], **values: Any) -> WebhookTarget:
    return WebhookTarget(events=tuple(events), **values)


_VALUES: Mapping[str, Callable[..., Any]] = {
    "dispatch": Dispatch,
    "origin": Origin,
    "progress": Progress,
    "error": JobError,
    "timings_ms": Timings,
    "webhook": _webhook,
}
_LISTS = {"outputs": StoredOutput, "webhooks_due": DueWebhook}
_TUPLES = ("cached_nodes", "warnings")
_RECORD_FIELDS = frozenset(field.name for field in fields(JobRecord))
SUMMARY_FIELDS = tuple(field.name for field in fields(JobSummary))


def to_document(record: JobRecord) -> Document:
    """`record` in JSON's own types; what is empty or None is left out."""
    document = {name: value for name, value in vars(record).items() if value not in (None, (), {})}
    document["status"] = record.status.value
    for name in _VALUES.keys() & document.keys():
        document[name] = {key: _plain(value) for key, value in vars(document[name]).items() if value is not None}
    if "seed_used" in document:
        document["seed_used"] = dict(record.seed_used)
    for name in _LISTS.keys() & document.keys():
        document[name] = [dict(vars(item)) for item in document[name]]
    for name in _TUPLES:
        if name in document:
            document[name] = list(document[name])
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def from_document(document: Mapping[str, Any]) -> JobRecord:
    """The record of `to_document`. Raises StateUnavailable for one that a newer release wrote."""
    version = document.get("schema_version", SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise StateUnavailable(
            f"job {document.get('job_id')!r} has schema version {version}, written by a newer release; "
            f"this one reads up to {SCHEMA_VERSION}"
        )
    values = {name: value for name, value in document.items() if name in _RECORD_FIELDS}
    values["status"] = Status(values["status"])
    for name, kind in _VALUES.items():
        if name in values:
            values[name] = kind(**values[name])
    for name, kind in _LISTS.items():
        if name in values:
            values[name] = tuple(kind(**item) for item in values[name])
    for name in _TUPLES:
        if name in values:
            values[name] = tuple(values[name])
    return JobRecord(**values)


def to_summary(document: Mapping[str, Any]) -> JobSummary:
    """What a list shows of a record's document, which may lack everything but SUMMARY_FIELDS."""
    values = {name: document[name] for name in SUMMARY_FIELDS if name in document}
    return JobSummary(**{**values, "status": Status(values["status"])})
