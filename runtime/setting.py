"""One setting as a class of settings declares it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field


def names(value: object) -> object:
    """A text's parts, comma separated; anything else as it is."""
    return tuple(part for part in (p.strip() for p in value.split(",")) if part) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(names)]
"""Names, comma separated."""
Gigabytes = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def setting(*variables: str, default: Any, help: str, **bounds: Any) -> Any:
    """A field that is read from the first of `variables` that is set; `help` is its line in the reference."""
    return Field(default=default, validation_alias=AliasChoices(*variables), description=help, **bounds)
