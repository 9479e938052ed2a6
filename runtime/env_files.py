"""Variables from `.env` files, beneath those of the process."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from runtime.errors import SettingsInvalid

REPLACED = {
    "DATABASE_URL": "DYNAMODB_TABLE (job state), or nothing: SQLite is built in",
    "REDIS_URL": "DYNAMODB_DOCUMENTS_TABLE (accounts, keys, limits), or nothing: SQLite is built in",
    "CELERY_BROKER_URL": "SQS_QUEUE_URL (a queue of its own for workers), or nothing: `serve` queues by itself",
    "CELERY_RESULT_BACKEND": "DYNAMODB_TABLE (job state), or nothing: SQLite is built in",
}
"""Variables that others know, and what is in their place here."""
_OURS = re.compile(r"^(?!AWS_|RUNPOD_|MODAL_|OTEL_)[A-Z][A-Z0-9_]{5,40}$")
"""What a setting of ours may be spelt like; these libraries have variables of their own that are near."""
_NEARLY_THE_SAME = 0.88


def read_environment(env: Mapping[str, str] | None = None, folder: Path | None = None) -> Mapping[str, str]:
    """The process's variables over those of `.env.ENVIRONMENT` over those of `.env`, both in the working folder.

    Nothing is imported where there is no such file. Raises SettingsInvalid where one cannot be read.
    """
    env = os.environ if env is None else env
    folder = folder or Path.cwd()
    plain = _read(folder / ".env")
    name = env.get("ENVIRONMENT") or plain.get("ENVIRONMENT") or "development"
    return {**plain, **_read(folder / f".env.{name}"), **env}


def replaced_in(env: Mapping[str, str]) -> list[str]:
    """What to say of variables that do nothing here, one line each."""
    lines = [f"{name} does nothing here: see {REPLACED[name]}" for name in REPLACED if env.get(name)]
    other = sorted(name for name in env if name.startswith("CELERY_") and name not in REPLACED and env[name])
    return [*lines, *(f"{name} does nothing here: there is no Celery; see SQS_QUEUE_URL" for name in other)]


def misspelt_in(env: Mapping[str, str], known: Collection[str]) -> list[str]:
    """What to say of variables that are no setting and nearly spelt like one, one line each."""
    import difflib

    others = sorted(name for name in env if _OURS.match(name) and name not in known and env[name])
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=_NEARLY_THE_SAME) for name in others}
    return [f"{name} does nothing here; near it is {found[0]}" for name, found in near.items() if found]


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        from dotenv import dotenv_values
    except ModuleNotFoundError as exc:
        raise SettingsInvalid(f"{path} needs python-dotenv, which is not installed: pip install python-dotenv") from exc
    try:
        found = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"{path} cannot be read: {exc}") from exc
    return {name: value for name, value in found.items() if value is not None}
