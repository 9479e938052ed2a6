"""The names that somebody who spelt one wrong may have meant, at a bounded cost however many and long they are."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import islice, pairwise

_LONGEST = 200
_MOST_NAMES = 5_000
_MOST_COMPARED = 50  # letter by letter, which takes some 0.2 ms each


def near_names(spelling: str, names: Iterable[object], count: int = 3) -> list[str]:
    """Up to `count` of the texts in `names` that are near `spelling`, nearest first.

    Only names of at most 200 characters are looked at, and the first 5,000 of them. Of many names the 50 that share
    the most pairs of letters are compared.
    """
    if not 0 < len(spelling) <= _LONGEST:
        return []
    import difflib  # only who misspells waits for it

    texts = (name for name in names if isinstance(name, str) and len(name) <= _LONGEST)
    likely = _sharing_most_pairs(spelling, list(islice(texts, _MOST_NAMES)))
    return difflib.get_close_matches(spelling, likely, n=count, cutoff=0.5)


def _sharing_most_pairs(spelling: str, names: list[str]) -> list[str]:
    if len(names) <= _MOST_COMPARED:
        return names
    pairs = _pairs(spelling)
    return heapq.nlargest(_MOST_COMPARED, names, key=lambda name: len(pairs & _pairs(name)))


def _pairs(text: str) -> set[tuple[str, str]]:
    return set(pairwise(text))
