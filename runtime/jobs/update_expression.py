"""A change from one document to another as DynamoDB's conditional `UpdateItem` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.jobs.attributes import to_attributes

GUARDED = ("status", "fencing_token", "revision", "created_at")
"""What a write requires of the item that it changes: the state and the token it needs, and that it saw the last."""


def update_expression(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """`UpdateItem`'s arguments that set what differs, remove what is gone, and hold only while `before` stands.

    Every name is aliased (`#0`, `#1`, ...): many of a record's are reserved words.
    """
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    gone = sorted(before.keys() - after.keys())
    alias = {name: f"#{place}" for place, name in enumerate(sorted({*changed, *gone, *GUARDED}))}
    clauses = ["SET " + ", ".join(f"{alias[name]} = :{name}" for name in changed)]
    if gone:
        clauses.append("REMOVE " + ", ".join(alias[name] for name in gone))
    values = {f":{name}": value for name, value in changed.items()}
    guards = {f":was_{name}": before[name] for name in GUARDED}
    return {
        "UpdateExpression": " ".join(clauses),
        "ConditionExpression": " AND ".join(f"{alias[name]} = :was_{name}" for name in GUARDED),
        "ExpressionAttributeNames": {alias[name]: name for name in alias},
        "ExpressionAttributeValues": to_attributes({**values, **guards}),
    }
