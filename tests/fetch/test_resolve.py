from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from runtime.errors import Cancelled, InputRejected, InputUnreachable
from runtime.fetch.resolve import resolve_within, system_resolver


def nothing() -> None:
    """A check that never ends the wait."""


@pytest.fixture
def stuck() -> Iterator[Callable[[str], list[str]]]:
    """A resolver that does not answer before the test ends."""
    end = threading.Event()

    def resolve(host: str) -> list[str]:
        end.wait(20)
        return []

    yield resolve
    end.set()


def test_a_numeric_host_is_its_own_address() -> None:
    assert resolve_within(system_resolver, "127.0.0.1", timeout_s=5, check=nothing) == ["127.0.0.1"]


def test_a_host_that_nobody_knows_is_unreachable() -> None:
    def resolve(host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(InputUnreachable, match=r"host 'nowhere\.example' has no known address"):
        resolve_within(resolve, "nowhere.example", timeout_s=5, check=nothing)


def test_a_host_without_an_address_is_unreachable() -> None:
    with pytest.raises(InputUnreachable, match="has no known address"):
        resolve_within(lambda _: [], "a.example", timeout_s=5, check=nothing)


def test_a_name_that_no_host_can_have_is_refused() -> None:
    with pytest.raises(InputRejected, match="no valid host name"):
        resolve_within(system_resolver, "a" * 70 + ".example", timeout_s=5, check=nothing)


def test_a_defect_of_the_resolver_is_raised_where_it_was_called() -> None:
    def resolve(host: str) -> list[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        resolve_within(resolve, "a.example", timeout_s=5, check=nothing)


def test_a_name_server_that_does_not_answer_is_waited_for_no_longer_than_asked(
    stuck: Callable[[str], list[str]],
) -> None:
    with pytest.raises(InputUnreachable, match=r"was not resolved within 0\.05 s"):
        resolve_within(stuck, "a.example", timeout_s=0.05, check=nothing)


def test_the_wait_for_a_name_server_can_be_cancelled(stuck: Callable[[str], list[str]]) -> None:
    def check() -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        resolve_within(stuck, "a.example", timeout_s=60, check=check)
