"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line. `said` is what was found; where that is not `ok`, also what to do."""

    name: str
    state: State
    said: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.name:12} {self.said}"


Check = Callable[[], Iterable[Finding]]


def run(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """The findings of each check in turn; one that raises is wrong, and the next is made all the same."""
    for name, check in checks:
        try:
            yield from check()
        except Exception as exc:  # what a check meets is what it reports, whatever it is
            yield Finding(name=name, state="wrong", said=f"could not be checked: {type(exc).__name__}: {exc}")
