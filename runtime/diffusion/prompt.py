"""ComfyUI's prompt language: weighted text, textual inversions, chunks of 77 tokens.

`(text)` weighs 1.1 times what is around it, `(text:1.3)` weighs 1.3; `\\(` and `\\)` are plain parentheses; square
brackets mean nothing. `embedding:name` at the start of a segment or behind a space is a textual inversion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from runtime.diffusion.tokenizer import END_TOKEN, START_TOKEN
from runtime.errors import InvalidRequest

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 77
MAX_NESTING = 200
MAX_CHARACTERS = 50_000  # some 150 chunks of words; a megabyte would hold the worker for minutes
MAX_CHUNKS = 1024  # of one conditioning; textual inversions bring more than their names have letters

_ROOM = CHUNK - 2  # between start and end
_LONG_WORD = 8  # a word of so many tokens may be cut in two at the end of a chunk
_EMPHASIS = 1.1
_PARENTHESIS = re.compile(r"\\?[()]")
_ESCAPED = re.compile(r"\\([()])")

Token = Union[int, "Tensor"]
"""A token's number, or the vector (W,) that stands for it."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of text under one weight."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Word:
    """Tokens that stay in one chunk where they can, under one weight: a segment, or a textual inversion."""

    tokens: Sequence[Token]
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """77 tokens from start to padding, each with its weight."""

    tokens: tuple[Token, ...]
    weights: tuple[float, ...]


def segments(prompt: str) -> list[Segment]:
    """The weighted segments of a prompt, their escapes resolved.

    Raises InvalidRequest for more than 50,000 characters, and where parentheses nest deeper than 200.
    """
    if len(prompt) > MAX_CHARACTERS:
        raise InvalidRequest(f"the prompt has {len(prompt)} characters, expected at most {MAX_CHARACTERS}")
    if (depth := _nesting(prompt)) > MAX_NESTING:
        raise InvalidRequest(f"the prompt's parentheses nest {depth} deep, expected at most {MAX_NESTING}")
    return [Segment(text=_ESCAPED.sub(r"\1", text), weight=weight) for text, weight in _weigh(prompt, 1.0)]


def _nesting(prompt: str) -> int:
    """How many groups at most are open at once, whether or not they close."""
    depth = deepest = 0
    for match in _PARENTHESIS.finditer(prompt):
        depth = max(depth + {"(": 1, ")": -1}.get(match[0], 0), 0)
        deepest = max(deepest, depth)
    return deepest


def _weigh(text: str, weight: float) -> Iterator[tuple[str, float]]:
    for part in _split(text):
        if _is_group(part):
            yield from _weigh(*_open(part[1:-1], weight))
        else:
            yield part, weight


def _split(text: str) -> Iterator[str]:
    """Cut `text` around its outermost groups. What follows an unmatched parenthesis stays in one piece."""
    level = start = 0
    for match in _PARENTHESIS.finditer(text):
        if match[0] == "(":
            if level == 0 and match.start() > start:
                yield text[start : match.start()]
                start = match.start()
            level += 1
        elif match[0] == ")":
            level -= 1
            if level == 0:
                yield text[start : match.end()]
                start = match.end()
    if start < len(text):
        yield text[start:]


def _is_group(part: str) -> bool:
    return len(part) > 1 and part.startswith("(") and part.endswith(")") and not part.endswith("\\)")


def _open(inner: str, weight: float) -> tuple[str, float]:
    """The text of a group and its weight: the number behind its last colon, else a tenth more than around it."""
    text, _, number = inner.rpartition(":")
    if text:
        try:
            return text, float(number)
        except ValueError:
            pass
    return inner, weight * _EMPHASIS


def words(
    prompt: str, *, encode: Callable[[str], list[int]], invert: Callable[[str], tuple[Tensor | None, str]]
) -> Iterator[Word]:
    """The words of a prompt in order.

    `encode` gives the tokens of plain text. `invert` is given what stands behind `embedding:` and answers with its
    vectors (N, W), or None where there are none, and the text that is left.
    """
    for segment in segments(prompt):
        for text in re.split(r"[ \n](?=embedding:)", segment.text):
            rest = text
            if text.startswith("embedding:"):
                vectors, rest = invert(text.removeprefix("embedding:"))
                if vectors is not None:
                    yield Word(tokens=list(vectors), weight=segment.weight)
            if rest:
                yield Word(tokens=encode(rest), weight=segment.weight)


def pack(prompt_words: Iterator[Word] | Sequence[Word], *, pad_token: int) -> list[Chunk]:
    """Lay words out in chunks, one at least. A short word that does not fit moves to the next, a long one is cut.

    Raises InvalidRequest for more than 1024 chunks.
    """
    chunks: list[Chunk] = []
    current: list[tuple[Token, float]] = []
    for word in prompt_words:
        rest = [(token, word.weight) for token in word.tokens]
        while len(rest) > _ROOM - len(current):
            fitting = _ROOM - len(current) if len(word.tokens) >= _LONG_WORD else 0
            chunks.append(_close(current + rest[:fitting], pad_token))
            if len(chunks) >= MAX_CHUNKS:
                raise InvalidRequest(f"the prompt has more than {MAX_CHUNKS * _ROOM} tokens with its embeddings")
            current, rest = [], rest[fitting:]
        current += rest
    return [*chunks, _close(current, pad_token)]


def _close(content: list[tuple[Token, float]], pad_token: int) -> Chunk:
    padding = [pad_token] * (_ROOM - len(content))
    return Chunk(
        tokens=(START_TOKEN, *(token for token, _ in content), END_TOKEN, *padding),
        weights=(1.0, *(weight for _, weight in content), 1.0, *(1.0 for _ in padding)),
    )
