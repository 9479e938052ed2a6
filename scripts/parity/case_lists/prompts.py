"""The prompt language: what ComfyUI makes of brackets, escapes, weights, long prompts and other scripts."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import consume_conditioning, encoded

ENCODINGS: dict[str, Link] = {"cond": ("pos", 0), "pooled": ("pos", 0)}
PROMPTS = {
    "empty": "",
    "spaces": "   \t\n  ",
    "one_word": "cat",
    "upper_case": "A CAT, On The MAT",
    "newlines": "a cat\n\n  on   a\tmat\r\nat home",
    "open_bracket": "a (red cat",
    "close_bracket": "a red) cat",
    "unbalanced": "((a (red:1.2) cat) and (dog",
    "empty_brackets": "a () cat (()) dog (:1.5)",
    "escapes": "a \\(red\\) (\\(nested\\):1.4) back\\slash \\\\ end",
    "escaped_unbalanced": "\\(a (cat\\):1.3) \\)",
    "weight_negative": "a (cat:-0.5) here",
    "weight_zero": "a (cat:0) here",
    "weight_large": "a (cat:7.5) here",
    "weight_no_number": "a (cat:much) (dog:) (cow:1.2.3)",
    "weight_number_forms": "(a:.5) (b:1.) (c:+1.3) (d:1e-1) (e: 1.2 )",
    "weight_special_numbers": "(a:0x10) (b:1_0) ratio 16:9 (time 12:30)",
    "weight_two_colons": "(a cat: sitting:1.3)",
    "weight_whole": "(a whole prompt with a weight:1.25)",
    "nested_deep": "(((((deep))))) ((((a:0.9) b:1.1) c) d)",
    "nested_weights": "(outer (inner:2.0) (second (third:0.3)):0.5)",
    "square_brackets": "[not a weight] [a:b:0.5] {x|y}",
    "break_is_a_word": "a cat BREAK a dog AND a cow",
    "angle_brackets": "<lora:name:1.0> a cat <|endoftext|> after <|startoftext|> end",
    "html": "a &amp; b &lt;tag&gt; &eacute; &amp;amp;",
    "accents": "café naïve Ærøskøbing Straße",
    "decomposed": "cafe\u0301 n\u0303 \u212b \ufb01ne",
    "scripts": "猫と犬 кошка γάτα قطة 고양이",
    "emoji": "a 😀 face 👩‍🚀 🇩🇪",
    "odd_spaces": "a\u00a0cat\u2003on\u200ba\u3000mat",
    "control": "a\u0000b\u0007c \ufffd \u202ereversed",
    "numbers": "1234567890 3.14159 10,000 v2.0 4k 8K",
    "punctuation": "don't, it's we'll they've! ... --- #1 @home *** ~~ `code` $5 50%",
    "long_word": "pneumonoultramicroscopicsilicovolcanoconiosis" * 4,
    "tokens_75": " ".join(["cat"] * 75),
    "tokens_76": " ".join(["cat"] * 76),
    "tokens_150": " ".join(["cat"] * 150),
    "tokens_151": " ".join(["dog"] * 151),
    "word_at_border": " ".join(["cat"] * 73) + " antidisestablishmentarianism end",
    "long_word_at_border": " ".join(["cat"] * 73) + " pneumonoultramicroscopicsilicovolcanoconiosis end",
    "weights_at_border": " ".join(["cat"] * 73) + " (red dog and:1.4) (blue cow:0.6)",
    "weights_in_second_chunk": " ".join(["cat"] * 80) + " (red:1.4)",
    "embedding_absent": "a embedding:no_such_file cat",
}
ELSEWHERE = ("empty", "weight_zero", "weights_at_border", "nested_weights")


def cases() -> Iterator[Case]:
    """Every prompt with CLIP-L, and some with the encoders that pad and project otherwise."""
    for name in PROMPTS:
        yield _prompt("sd1_mini", name)
    for name in ELSEWHERE:
        yield _prompt("sd2_mini", name)
    for name in ("weight_zero", "weights_in_second_chunk"):
        yield _prompt("sdxl_mini", name)


def _prompt(checkpoint: str, name: str) -> Case:
    graph = consume_conditioning(encoded(checkpoint, positive=PROMPTS[name]), ("pos", 0))
    return graph.case(f"{checkpoint.removesuffix('_mini')}_prompt_{name}", ENCODINGS)
