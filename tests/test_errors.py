from __future__ import annotations

from typing import Any

import pytest

from runtime import errors
from runtime.errors import GraphRejected, ServerlessError, SettingsInvalid


def of_tree(base: type[ServerlessError] = ServerlessError) -> list[type[ServerlessError]]:
    """The errors of jobs: what the API refuses beside them has a module of its own."""
    below = [each for each in base.__subclasses__() if each.__module__ == errors.__name__]
    return [found for each in below for found in [each, *of_tree(each)]]


CONCRETE = [each for each in of_tree() if each not in (errors.ModelError, errors.InputError, SettingsInvalid)]


def test_every_code_is_of_one_error_alone() -> None:
    codes = [each.code for each in CONCRETE]
    assert len(codes) == len(set(codes)) == 19


@pytest.mark.parametrize("error", of_tree(), ids=lambda error: error.__name__)
def test_every_error_is_drawn_in_the_tree_with_its_code(error: Any) -> None:
    drawn = [line.split("──")[1].split() for line in (errors.__doc__ or "").splitlines() if "──" in line]
    entry = next(words for words in drawn if words[0] == error.__name__)
    if error in CONCRETE:
        assert entry[1] == error.code
        assert ("retryable" in entry) is error.retryable


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\0", "\x9b", "\u202e", "\u2028"], ids=ascii)
def test_a_message_is_always_one_line_without_control_characters(text: str) -> None:
    error = GraphRejected(f"no node {text}.")
    assert error.message == f"no node {ascii(text)[1:-1]}."


def test_a_message_is_always_utf_8() -> None:
    error = GraphRejected("no file \udcff here")
    assert error.message == str(error) == "no file \\udcff here"


def test_no_code_of_the_apis_is_one_of_a_jobs() -> None:
    from runtime.api import errors as refusals

    of_api = {each.code for each in vars(refusals).values() if isinstance(each, type) and each is not ServerlessError}
    assert of_api.isdisjoint(each.code for each in CONCRETE)
