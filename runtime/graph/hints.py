"""Near names for what a graph spells wrong."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_MOST_LOOKUPS = 50
_LONGEST_SPELLING = 200
_MOST_OPTIONS = 5_000


class Hints:
    """One check's near names. Each spelling is looked up once, and only the first 50 of a graph: a look-up compares
    with every option, and nobody reads more of them.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Sequence[object], list[str]]] = {}

    def near(self, spelling: object, options: Sequence[object]) -> list[str]:
        """Up to three of the texts in `options` that are near `spelling`, nearest first."""
        if not isinstance(spelling, str) or not 0 < len(spelling) <= _LONGEST_SPELLING:
            return []
        key = (spelling, id(options))  # `options` is kept beside, so that nothing else can have its id
        if key not in self._known:
            if len(self._known) >= _MOST_LOOKUPS:
                return []
            texts = [option for option in options[:_MOST_OPTIONS] if isinstance(option, str)]
            self._known[key] = options, difflib.get_close_matches(spelling, texts, n=3, cutoff=0.5)
        return self._known[key][1]
