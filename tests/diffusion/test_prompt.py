from __future__ import annotations

import pytest
import torch
from torch import Tensor

from runtime.diffusion.prompt import MAX_CHUNKS, Chunk, Segment, Word, pack, segments, words
from runtime.diffusion.tokenizer import END_TOKEN, START_TOKEN
from runtime.errors import InvalidRequest

PAD = 7
SEGMENTS = {
    "plain": ("a cat", [("a cat", 1.0)]),
    "empty": ("", []),
    "weight": ("a (red:1.4) cube", [("a ", 1.0), ("red", 1.4), (" cube", 1.0)]),
    "emphasis": ("((shiny))", [("shiny", 1.1 * 1.1)]),
    "a weight replaces the one around it": (
        "(a (nested:0.5) phrase:1.2)",
        [("a ", 1.2), ("nested", 0.5), (" phrase", 1.2)],
    ),
    "emphasis multiplies the one around it": ("(a (b):2)", [("a ", 2.0), ("b", 2 * 1.1)]),
    "escapes": ("\\(wood\\) (\\(x\\):2)", [("(wood) ", 1.0), ("(x)", 2.0)]),
    "two backslashes": ("a\\\\(b\\\\)", [("a\\(b\\)", 1.0)]),
    "brackets": ("[ignored]", [("[ignored]", 1.0)]),
    "never closed": ("a (red cat", [("a ", 1.0), ("(red cat", 1.0)]),
    "never opened": ("a red) (cat:2)", [("a red) (cat:2)", 1.0)]),
    "opened once too often": ("((a)", [("(a", 1.1)]),
    "closed once too often": ("(a)) (b)", [("a", 1.1), (") (b)", 1.0)]),
    "nothing inside": ("()", []),
    "a weight of nothing": ("(:1.5)", [(":1.5", 1.1)]),
    "no number": ("(cat:much)", [("cat:much", 1.1)]),
    "number forms": ("(a:.5)(b: 1e1 )(c:-2)", [("a", 0.5), ("b", 10.0), ("c", -2.0)]),
    "the last colon counts": ("(16:9:1.5)", [("16:9", 1.5)]),
}


@pytest.mark.parametrize(("prompt", "expected"), SEGMENTS.values(), ids=SEGMENTS)
def test_a_prompt_falls_into_weighted_segments(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert segments(prompt) == [Segment(text=text, weight=weight) for text, weight in expected]


def test_parentheses_nest_two_hundred_deep_and_no_deeper() -> None:
    assert segments("(" * 200 + "a" + ")" * 200)[0].text == "a"
    with pytest.raises(InvalidRequest, match="nest 201 deep, expected at most 200"):
        segments("(" * 201 + "a" + ")" * 201)


def test_a_short_prompt_is_start_words_end_and_padding() -> None:
    [chunk] = pack([Word(tokens=[1, 2], weight=1.5)], pad_token=PAD)
    assert chunk.tokens == (START_TOKEN, 1, 2, END_TOKEN, *[PAD] * 73)
    assert chunk.weights == (1.0, 1.5, 1.5, *[1.0] * 74)


def test_no_words_are_one_chunk() -> None:
    assert pack([], pad_token=PAD) == [Chunk(tokens=(START_TOKEN, END_TOKEN, *[PAD] * 75), weights=(1.0,) * 77)]


@pytest.mark.parametrize(("count", "chunks"), [(75, 1), (76, 2), (150, 2), (151, 3)])
def test_a_chunk_has_room_for_75_tokens(count: int, chunks: int) -> None:
    packed = pack([Word(tokens=[1] * count)], pad_token=PAD)
    assert len(packed) == chunks
    assert [len(chunk.tokens) for chunk in packed] == [77] * chunks
    assert sum(chunk.tokens.count(1) for chunk in packed) == count


@pytest.mark.parametrize(("length", "in_first"), [(7, 0), (8, 5)], ids=["moved whole", "cut in two"])
def test_a_word_at_the_end_of_a_chunk_is(length: int, in_first: int) -> None:
    first, second = pack([Word(tokens=[1] * 70), Word(tokens=[2] * length)], pad_token=PAD)
    assert first.tokens.count(2) == in_first
    assert first.tokens[71 + in_first] == END_TOKEN
    assert second.tokens[1 : 2 + length - in_first] == (*[2] * (length - in_first), END_TOKEN)


def _words(prompt: str, vectors: Tensor | None = None) -> tuple[list[tuple[int, float]], list[str]]:
    """How many tokens each word has and its weight, and what was asked for as an embedding; a letter is a token."""
    asked: list[str] = []

    def invert(text: str) -> tuple[Tensor | None, str]:
        name, _, rest = text.partition(" ")
        asked.append(name)
        return vectors, rest

    found = words(prompt, encode=lambda text: [ord(letter) for letter in text], invert=invert)
    return [(len(word.tokens), word.weight) for word in found], asked


def test_an_embedding_is_a_word_of_its_vectors_under_its_segments_weight() -> None:
    assert _words("an (embedding:style now:1.3)", torch.zeros(2, 4)) == ([(3, 1.0), (2, 1.3), (3, 1.3)], ["style"])


def test_an_embedding_that_is_not_found_leaves_the_words_behind_it() -> None:
    assert _words("embedding:absent now") == ([(3, 1.0)], ["absent"])


@pytest.mark.parametrize("prompt", ["see embedding:x", "see\nembedding:x"], ids=["space", "line end"])
def test_an_embedding_begins_behind_a_space_or_a_line_end(prompt: str) -> None:
    assert _words(prompt, torch.zeros(1, 4)) == ([(3, 1.0), (1, 1.0)], ["x"])


def test_an_embedding_inside_a_word_is_plain_text() -> None:
    assert _words("noembedding:x") == ([(13, 1.0)], [])


def test_a_prompt_has_at_most_fifty_thousand_characters() -> None:
    assert len(segments("a" * 50_000)) == 1
    with pytest.raises(InvalidRequest, match="the prompt has 50001 characters, expected at most 50000"):
        segments("a" * 50_001)


def test_embeddings_make_no_more_chunks_than_a_conditioning_may_have() -> None:
    full = Word(tokens=[1] * 75)
    assert len(pack([full] * MAX_CHUNKS, pad_token=PAD)) == MAX_CHUNKS
    with pytest.raises(InvalidRequest, match="more than 76800 tokens with its embeddings"):
        pack((full for _ in range(10**9)), pad_token=PAD)
