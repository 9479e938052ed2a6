"""CLIP's tokenizer: lower-cased text, cut into words, each merged from its UTF-8 bytes by a table of byte pairs.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021; the rules are
those of `CLIPTokenizer` in transformers 5, the table is openai/CLIP's (see THIRD_PARTY.md).
"""

from __future__ import annotations

import heapq
import re
import struct
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

START_TOKEN = 49406
END_TOKEN = 49407
VOCABULARY_SIZE = 49408

_MERGES = Path(__file__).parent / "data" / "clip_merges.bin"
_FIRST_MERGED = 512  # after 256 bytes and 256 bytes that end a word
_MARKERS = {"<|startoftext|>": START_TOKEN, "<|endoftext|>": END_TOKEN}
_MARKER = re.compile(r"(<\|(?:start|end)oftext\|>)")
_WORD = re.compile(r"(<\|)((?:start|end)oftext)(\|>)|'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^ a-z0-9]+")


class ClipTokenizer:
    """Turns text into CLIP's token numbers; the table is read when the first word needs it.

    What is a letter and what a numeral is as the running Python's version of Unicode has it.
    """

    def __init__(self) -> None:
        self._shapes = _Shapes()

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`, without start and end, but for `<|startoftext|>` and `<|endoftext|>` written in it."""
        tokens: list[int] = []
        for part in _MARKER.split(text):
            if part in _MARKERS:
                tokens.append(_MARKERS[part])
            else:
                tokens.extend(token for word in self._words(_normalize(part)) for token in self._merge(word))
        return tokens

    def _words(self, text: str) -> Iterator[bytes]:
        """Contractions, runs of letters, single numerals and runs of anything else but white space, as UTF-8.

        A marker that was written in capitals is no marker any more, but still three words.
        """
        for match in _WORD.finditer(text.translate(self._shapes)):
            for group in (1, 2, 3) if match[1] else (0,):
                yield text[match.start(group) : match.end(group)].encode("utf-8", "replace")

    def _merge(self, word: bytes) -> list[int]:
        """The tokens of one word: the best pair of neighbours is merged until no pair is in the table.

        A heap of pairs over a linked list keeps a word of n bytes at O(n log n). Entries are checked when they come up
        and not removed when a neighbour changes.
        """
        tokens = [_BYTE_TOKENS[byte] for byte in word]
        tokens[-1] += 256
        size = len(tokens)
        after = list(range(1, size + 1))
        before = list(range(-1, size - 1))
        heap: list[tuple[int, int]] = []

        def pair(left: int) -> int | None:
            right = after[left]
            return self._table.get(tokens[left] | tokens[right] << 16) if right < size else None

        def offer(left: int) -> None:
            if left >= 0 and (merged := pair(left)) is not None:
                heapq.heappush(heap, (merged, left))

        for left in range(size):
            offer(left)
        while heap:
            merged, left = heapq.heappop(heap)
            if tokens[left] < 0 or pair(left) != merged:
                continue
            right = after[left]
            tokens[left], tokens[right] = merged, -1
            after[left] = after[right]
            if after[left] < size:
                before[after[left]] = left
            offer(before[left])
            offer(left)
        return [token for token in tokens if token >= 0]

    @cached_property
    def _table(self) -> dict[int, int]:
        """First token | second token << 16 -> the token that they merge into; a lower token merges earlier."""
        data = _MERGES.read_bytes()
        pairs = struct.unpack(f"<{len(data) // 4}I", data)
        return dict(zip(pairs, range(_FIRST_MERGED, _FIRST_MERGED + len(pairs)), strict=True))


class _Shapes(dict[int, str]):
    """Maps a code point to an ASCII character of its kind, so that `_WORD` needs no Unicode classes."""

    def __missing__(self, code: int) -> str:
        self[code] = shape = _shape(chr(code))
        return shape


def _shape(character: str) -> str:
    """An ASCII character is itself; of the others a letter is `a`, a numeral `0`, white space a space, the rest `!`."""
    if character.isspace():
        return "!" if "\x1c" <= character <= "\x1f" else " "  # separators to Python, not to Unicode's White_Space
    if character.isascii():
        return character
    return {"L": "a", "N": "0"}.get(unicodedata.category(character)[0], "!")


def _normalize(text: str) -> str:
    """Unicode NFC, then lower case letter by letter: `str.lower` would write a word's last sigma differently."""
    return (
        unicodedata.normalize("NFC", text)
        .replace("\N{GREEK CAPITAL LETTER SIGMA}", "\N{GREEK SMALL LETTER SIGMA}")
        .lower()
    )


def _byte_tokens() -> list[int]:
    """The token of each byte: the printable ones of Latin-1 come first."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    order = sorted(range(256), key=lambda byte: (byte not in printable, byte))
    return sorted(range(256), key=order.__getitem__)


_BYTE_TOKENS = _byte_tokens()
