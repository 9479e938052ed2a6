from __future__ import annotations

import random
import string

import pytest

from runtime.near_names import near_names
from tests.cpu_time import at_once


def test_the_nearest_name_comes_first() -> None:
    assert near_names("KSampler2", ["SaveImage", "KSamplerAdvanced", "KSampler"])[0] == "KSampler"


def test_names_that_are_far_are_left_out() -> None:
    assert near_names("KSampler", ["SaveImage", 7, None]) == []


def test_at_most_so_many_are_given() -> None:
    assert len(near_names("node", [f"node{n}" for n in range(9)], 2)) == 2


def test_the_near_name_is_found_among_thousands() -> None:
    others = ["".join(random.Random(n).choices(string.ascii_lowercase, k=60)) for n in range(4_000)]
    assert near_names("sd_xl_base", [*others, "sdxl_base_1.0"]) == ["sdxl_base_1.0"]


@pytest.mark.parametrize("spelling", ["", "x" * 201], ids=["empty", "endless"])
def test_what_nobody_misspelt_has_no_near_names(spelling: str) -> None:
    assert near_names(spelling, [spelling]) == []


def test_names_made_to_be_slow_are_looked_through_at_once() -> None:
    alphabet = [chr(code) for code in range(0x4E00, 0x4E00 + 200)]
    names = ["".join(random.Random(n).sample(alphabet, 200)) for n in range(5_000)]
    with at_once():
        near_names("".join(alphabet), names)


def test_a_name_of_megabytes_is_not_compared() -> None:
    with at_once():
        assert near_names("ab" * 90, ["ba" * 5_000_000]) == []
