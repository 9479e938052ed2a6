from __future__ import annotations

import weakref
from collections import UserDict
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch

from runtime.engines.native.cache import NodeCache, size_of


class Model:
    """What a model store would own."""


def image(kilobytes: int) -> list[list[Any]]:
    return [[torch.zeros(kilobytes * 250)]]


def test_what_was_put_is_there() -> None:
    cache = NodeCache(10_000)
    cache.put(b"a", [[1], [2, 3]], ("INT", "INT"))
    assert cache.get(b"a") == [[1], [2, 3]]


def test_what_was_not_put_is_absent() -> None:
    assert NodeCache(10_000).get(b"a") is None


def test_it_never_holds_more_than_its_limit() -> None:
    cache = NodeCache(10_000)
    for number in range(100):
        cache.put(bytes([number]), image(2), ("IMAGE",))
        assert cache.size_bytes <= 10_000
    assert len(cache) == 3


def test_the_least_recently_used_goes_first() -> None:
    cache = NodeCache(5_500)
    cache.put(b"a", image(2), ("IMAGE",))
    cache.put(b"b", image(2), ("IMAGE",))
    cache.get(b"a")
    cache.put(b"c", image(2), ("IMAGE",))
    assert [cache.get(key) is None for key in (b"a", b"b", b"c")] == [False, True, False]


def test_a_result_over_the_limit_is_not_kept_and_drops_no_other() -> None:
    cache = NodeCache(5_000)
    cache.put(b"a", image(2), ("IMAGE",))
    cache.put(b"b", image(20), ("IMAGE",))
    assert (cache.get(b"a") is None, cache.get(b"b")) == (False, None)


def test_many_tiny_results_are_bounded_too() -> None:
    cache = NodeCache(10_000)
    for number in range(1000):
        cache.put(str(number).encode(), [[number]], ("INT",))
    assert len(cache) < 20


def test_the_same_key_again_counts_once() -> None:
    cache = NodeCache(10_000)
    cache.put(b"a", image(2), ("IMAGE",))
    before = cache.size_bytes
    cache.put(b"a", image(2), ("IMAGE",))
    assert (cache.size_bytes, len(cache)) == (before, 1)


def test_cleared_it_holds_nothing() -> None:
    cache = NodeCache(10_000)
    cache.put(b"a", image(2), ("IMAGE",))
    cache.clear()
    assert (len(cache), cache.size_bytes, cache.get(b"a")) == (0, 0, None)


@pytest.mark.parametrize("type_", ["MODEL", "CLIP", "VAE", "GUIDER", "CONTROL_NET", "UPSCALE_MODEL"])
def test_a_model_is_not_kept_alive(type_: str) -> None:
    cache, model = NodeCache(10_000), Model()
    cache.put(b"a", [[model], [5]], (type_, "INT"))
    assert cache.get(b"a") == [[model], [5]]
    alive = weakref.ref(model)
    del model
    assert (alive(), cache.get(b"a"), len(cache)) == (None, None, 0)


def test_a_plain_value_under_a_models_type_is_kept_as_it_is() -> None:
    cache = NodeCache(10_000)
    cache.put(b"a", [[5]], ("MODEL",))
    assert cache.get(b"a") == [[5]]


def test_a_type_that_is_not_hashable_does_no_harm() -> None:
    class EqualToAll(str):
        def __eq__(self, other: object) -> bool:
            return True

    cache = NodeCache(10_000)
    cache.put(b"a", [[Model()]], (EqualToAll("*"),))
    assert cache.get(b"a") is not None


def shared_storage() -> Any:
    whole = torch.zeros(10, 100)
    return [whole[0], whole[1]]


def circle() -> Any:
    items: list[Any] = ["four"]
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (torch.zeros(10), 40),
        (torch.zeros(10, dtype=torch.float16), 20),
        (torch.zeros(10, 10)[0], 400),
        (shared_storage(), 4000 + 16),
        ("four", 4),
        (b"four", 4),
        ({"samples": torch.zeros(10)}, 40 + 8),
        ([[torch.zeros(10), {"pooled": torch.zeros(5)}]], 60 + 8 + 16 + 8),
        (numpy.zeros(10), 80),
        (SimpleNamespace(inside=torch.zeros(10)), 40),
        (UserDict(a=torch.zeros(10)), 48),
        (circle(), 4 + 16),
        (5, 0),
        (None, 0),
        (torch, 0),
        (Model, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_size_is_of_all_that_a_value_holds(value: Any, size: int) -> None:
    assert size_of(value) == size


def test_the_size_of_what_is_nested_10_000_deep_is_counted() -> None:
    value: Any = "x"
    for _ in range(10_000):
        value = [value]
    assert size_of(value) == 80_001


def test_a_conditioning_under_a_control_is_not_kept() -> None:
    cache = NodeCache(10_000)
    cache.put(b"a", [[[[torch.zeros(1), {"control": Model()}]]]], ("CONDITIONING",))
    cache.put(b"b", [[[[torch.zeros(1), {"control": None}]]]], ("CONDITIONING",))
    assert [cache.get(key) is None for key in (b"a", b"b")] == [True, False]
