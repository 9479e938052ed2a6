"""Near names for what a graph spells wrong."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.near_names import near_names

_MOST_LOOKUPS = 20


class Hints:
    """One check's near names. Each spelling is looked up once, and only the first 20 of a graph: a look-up goes through
    every option, and nobody reads more of them.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Sequence[object], list[str]]] = {}

    def near(self, spelling: object, options: Sequence[object]) -> list[str]:
        """Up to three of the texts in `options` that are near `spelling`, nearest first."""
        if not isinstance(spelling, str):
            return []
        key = (spelling, id(options))  # `options` is kept beside, so that nothing else can have its id
        if key not in self._known:
            if len(self._known) >= _MOST_LOOKUPS:
                return []
            self._known[key] = options, near_names(spelling, options)
        return self._known[key][1]
