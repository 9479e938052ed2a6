"""The tokens here are those that `CLIPTokenizer` of transformers 5.23 gives."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.diffusion.tokenizer import START_TOKEN, VOCABULARY_SIZE, ClipTokenizer

TOKENIZER = ClipTokenizer()

EXAMPLES = {
    "words": ("a photograph of an astronaut riding a horse", [320, 8853, 539, 550, 18376, 6765, 320, 4558]),
    "capitals": ("A Photograph OF AN Astronaut", [320, 8853, 539, 550, 18376]),
    "contractions": (
        "don't they'll I'd we've 'tis it''s",
        [847, 713, 889, 1342, 328, 1896, 649, 1200, 713, 533, 585, 8445, 338],
    ),
    "numerals": ("1234 v2.0 \u00bd \u2167", [272, 273, 274, 275, 341, 273, 269, 271, 33613, 158, 227, 371]),
    "punctuation": ("wow!!! (really)... #1", [2781, 995, 263, 1414, 15274, 258, 272]),
    "accents": ("caf\u00e9 Stra\u00dfe", [15304, 1894, 127, 253, 324]),
    "decomposed": ("cafe\u0301 \u212b", [15304, 127, 354]),
    "last sigma": ("\u039f\u0394\u039f\u03a3", [138, 123, 138, 112, 138, 123, 139, 481]),
    "dotted capital i": ("\u0130stanbul", [328, 16384, 11231]),
    "chinese and cyrillic": (
        "\u732b\u3068\u72ac \u043a\u043e\u0448\u043a\u0430",
        [163, 234, 104, 34671, 163, 232, 361, 27152, 13506, 141, 230, 27152, 27080],
    ),
    "emoji": ("\U0001f600\U0001f469\u200d\U0001f680", [12832, 26304, 13542]),
    "white space": ("a\u00a0cat\u2003on\u3000a\tmat\r\n", [320, 2368, 525, 320, 9063]),
    "zero width space": ("a\u200bb", [320, 9844, 321]),
    "control characters": ("a\x00b\x1cc\x85d", [320, 444, 321, 472, 322, 323]),
    "markers": ("a <|endoftext|>b<|startoftext|>", [320, 49407, 321, 49406]),
    "a marker in capitals": ("<|ENDOFTEXT|>!", [27, 347, 40786, 4160, 91, 285, 256]),
    "markup": ("&amp; <b>", [261, 6259, 282, 283, 321, 285]),
    "empty": ("", []),
    "blank": (" \n\t", []),
}


@pytest.mark.parametrize(("text", "tokens"), EXAMPLES.values(), ids=EXAMPLES)
def test_text_has_the_tokens_that_clip_was_trained_with(text: str, tokens: list[int]) -> None:
    assert TOKENIZER.encode(text) == tokens


@settings(deadline=None)
@given(st.text(alphabet="aehinorst", min_size=1, max_size=40))
def test_a_word_is_merged_best_pair_first(word: str) -> None:
    assert TOKENIZER.encode(word) == _merged_one_rank_a_pass(word)


def _merged_one_rank_a_pass(word: str) -> list[int]:
    """Sennrich et al. 2016, arXiv:1508.07909, algorithm 1: find the best pair, merge all of it, start again."""
    tokens = [ord(letter) - 33 for letter in word]
    tokens[-1] += 256
    table = TOKENIZER._table
    while pairs := [table[left | right << 16] for left, right in pairwise(tokens) if left | right << 16 in table]:
        best, merged = min(pairs), list[int]()
        for token in tokens:
            if merged and table.get(merged[-1] | token << 16) == best:
                merged[-1] = best
            else:
                merged.append(token)
        tokens = merged
    return tokens


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_tokens_of_the_vocabulary(text: str) -> None:
    assert all(0 <= token < VOCABULARY_SIZE for token in TOKENIZER.encode(text))


def test_half_a_surrogate_pair_is_a_question_mark() -> None:
    assert TOKENIZER.encode("a \ud800") == TOKENIZER.encode("a ?")


def test_a_word_may_be_fifty_thousand_letters_long() -> None:
    short, long = (TOKENIZER.encode("ha" * count) for count in (1_000, 25_000))
    assert set(long) == set(short)


def test_the_vocabulary_has_its_published_size() -> None:
    table = TOKENIZER._table
    assert len(table) == 48_894
    assert max(table.values()) + 1 == START_TOKEN


def test_a_new_tokenizer_has_read_nothing() -> None:
    assert "_table" not in vars(ClipTokenizer())
