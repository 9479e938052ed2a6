"""What every document store promises, on SQLite and on two implementations of DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.clock import ManualClock
from runtime.documents.store import ABSENT, DocumentStore

VALUE = {"text": "ä", "number": 3, "half": 0.5, "yes": True, "nothing": None, "list": [1, {"a": []}]}


def soon(clock: ManualClock) -> int:
    return int(clock.wall()) + 60


def test_a_document_comes_back_as_it_was_put(store: DocumentStore) -> None:
    put = store.put("c", "n", VALUE)
    assert put is not None
    assert (put.name, put.value, put.version) == ("n", VALUE, 1)
    assert store.get("c", "n") == put


def test_what_was_never_put_is_absent(store: DocumentStore) -> None:
    store.put("c", "n", VALUE)
    assert store.get("c", "m") is None
    assert store.get("d", "n") is None


@pytest.mark.parametrize(("collection", "name"), [("c", ""), ("c", "n" * 5000), ("c" * 5000, "n")])
def test_a_name_that_no_document_can_have_is_absent(store: DocumentStore, collection: str, name: str) -> None:
    assert store.get(collection, name) is None
    assert store.delete(collection, name) is False


def test_a_put_over_the_version_that_stands_replaces_it(store: DocumentStore) -> None:
    store.put("c", "n", {"a": 1})
    put = store.put("c", "n", {"b": 2}, over=1)
    assert put is not None
    assert put.version == 2
    assert store.get("c", "n") == put


def test_a_put_over_another_version_writes_nothing(store: DocumentStore) -> None:
    first = store.put("c", "n", {"a": 1})
    assert store.put("c", "n", {"b": 2}, over=2) is None
    assert store.put("c", "n", {"b": 2}, over=ABSENT) is None
    assert store.put("c", "m", {"b": 2}, over=1) is None
    assert store.get("c", "n") == first
    assert store.get("c", "m") is None


def test_a_put_over_whatever_stands_there_counts_its_version_on(store: DocumentStore) -> None:
    store.put("c", "n", {"a": 1})
    put = store.put("c", "n", {"b": 2})
    assert put is not None
    assert put.version == 2


def test_of_several_who_put_over_absence_one_wins(shared_store: DocumentStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        puts = list(pool.map(lambda number: shared_store.put("c", "n", {"number": number}, over=ABSENT), range(4)))
    (won,) = [put for put in puts if put is not None]
    assert shared_store.get("c", "n") == won


def test_a_deleted_document_is_absent(store: DocumentStore) -> None:
    store.put("c", "n", VALUE)
    assert store.delete("c", "n") is True
    assert store.get("c", "n") is None
    assert store.delete("c", "n") is False


def test_an_expired_document_is_absent(store: DocumentStore, clock: ManualClock) -> None:
    store.put("c", "n", VALUE, expires_at=soon(clock))
    clock.advance(61)
    assert store.get("c", "n") is None
    assert store.list("c") == []
    assert store.delete("c", "n") is False


def test_an_expired_document_gives_way_to_a_new_one(store: DocumentStore, clock: ManualClock) -> None:
    store.put("c", "n", {"a": 1}, expires_at=soon(clock))
    clock.advance(61)
    put = store.put("c", "n", {"b": 2}, over=ABSENT)
    assert put is not None
    assert store.get("c", "n") == put


def test_a_collection_is_listed_by_name_in_pages(store: DocumentStore) -> None:
    for name in ("b", "a", "d", "c"):
        store.put("c", name, {})
    store.put("other", "e", {})
    assert [document.name for document in store.list("c", limit=3)] == ["a", "b", "c"]
    assert [document.name for document in store.list("c", after="c", limit=3)] == ["d"]


def test_a_page_is_full_although_expired_documents_lie_between(store: DocumentStore, clock: ManualClock) -> None:
    for name in ("a", "c"):
        store.put("c", name, {}, expires_at=soon(clock))
    for name in ("b", "d"):
        store.put("c", name, {})
    clock.advance(61)
    assert [document.name for document in store.list("c", limit=2)] == ["b", "d"]


def test_a_counter_adds_up_to_its_bound(store: DocumentStore, clock: ManualClock) -> None:
    counts = [store.count("c", "n", amount=2, at_most=5, expires_at=soon(clock)) for _ in range(3)]
    assert counts == [2, 4, None]
    assert store.count("c", "n", amount=1, at_most=5, expires_at=soon(clock)) == 5


def test_an_amount_over_the_bound_is_not_counted(store: DocumentStore, clock: ManualClock) -> None:
    assert store.count("c", "n", amount=6, at_most=5, expires_at=soon(clock)) is None
    assert store.count("c", "n", amount=5, at_most=5, expires_at=soon(clock)) == 5


def test_a_counter_begins_anew_at_the_end_that_its_first_call_set(store: DocumentStore, clock: ManualClock) -> None:
    store.count("c", "n", amount=5, at_most=5, expires_at=soon(clock))
    clock.advance(30)
    assert store.count("c", "n", amount=1, at_most=5, expires_at=soon(clock)) is None
    clock.advance(31)
    assert store.count("c", "n", amount=1, at_most=5, expires_at=soon(clock)) == 1


def test_counts_of_several_at_once_are_none_lost(shared_store: DocumentStore, clock: ManualClock) -> None:
    ends = soon(clock)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: shared_store.count("c", "n", amount=1, at_most=6, expires_at=ends), range(8)))
    assert sorted(count for count in counts if count is not None) == [1, 2, 3, 4, 5, 6]


def test_a_closed_store_opens_again(store: DocumentStore) -> None:
    store.prepare()
    store.put("c", "n", VALUE)
    store.close()
    assert store.get("c", "n") is not None
