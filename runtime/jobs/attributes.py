"""JSON values as DynamoDB's attribute values, and back.

boto3's own serializer takes no floats; a record holds none that need more digits than a float has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Attribute = Mapping[str, Any]


def to_attribute(value: Any) -> Attribute:
    """One JSON value in DynamoDB's wire form. Raises TypeError for what JSON does not have."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, Mapping):
        return {"M": to_attributes(value)}
    if isinstance(value, list | tuple):
        return {"L": [to_attribute(item) for item in value]}
    raise TypeError(f"{type(value).__name__} has no attribute value, expected one of JSON's types")


def to_attributes(document: Mapping[str, Any]) -> dict[str, Attribute]:
    return {name: to_attribute(value) for name, value in document.items()}


def from_attribute(attribute: Attribute) -> Any:
    """The JSON value of `to_attribute`; a whole number comes back as an int."""
    ((kind, value),) = attribute.items()
    if kind == "NULL":
        return None
    if kind == "N":
        return _number(value)
    if kind == "M":
        return from_attributes(value)
    if kind == "L":
        return [from_attribute(item) for item in value]
    return value


def from_attributes(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    return {name: from_attribute(attribute) for name, attribute in attributes.items()}


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
