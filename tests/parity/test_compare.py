"""Two results agree within the bounds that the README states, and not beyond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.parity import case_file
from scripts.parity.capture import Array
from scripts.parity.compare import differences
from scripts.parity.graph import Graph

Expect = Callable[..., list[str]]


@pytest.fixture
def expect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Expect:
    """Compares what was got with one expected array, in a case with the given sampler."""
    monkeypatch.setattr(case_file, "EXPECTED", tmp_path)

    def compared(label: str, expected: Array, got: dict[str, Array], sampler: str = "euler") -> list[str]:
        arrays: dict[str, Any] = {label: expected}
        np.savez(tmp_path / "case.npz", **arrays)
        return differences(Graph().add("n", "KSampler", sampler_name=sampler).case("case", {}), got)

    return compared


@pytest.mark.parametrize(
    ("kind", "bound"), [("cond", 2e-4), ("conditioning", 2e-4), ("latent", 1e-3), ("sigmas", 1e-5)]
)
def test_a_relative_bound_holds_of_the_largest_value(expect: Expect, kind: str, bound: float) -> None:
    expected = np.array([0.0, -10.0])
    assert expect(kind, expected, {kind: expected + 9 * bound}) == []
    assert len(expect(kind, expected, {kind: expected + 11 * bound})) == 1


def test_a_picture_is_compared_as_it_is_saved(expect: Expect) -> None:
    expected = np.full((1, 2, 2, 3), 100.9 / 255, dtype=np.float32)
    assert expect("image", expected, {"image": expected + np.float32(2 / 255)}) == []
    assert len(expect("image", expected, {"image": expected + np.float32(3 / 255)})) == 1


@pytest.mark.parametrize(("sampler", "allowed"), [("euler", 2), ("euler_ancestral", 4), ("dpmpp_2m_sde_gpu", 4)])
def test_a_sampler_that_adds_noise_is_allowed_more_levels(expect: Expect, sampler: str, allowed: int) -> None:
    expected = np.full((1, 1, 1, 3), 100.5 / 255, dtype=np.float32)
    got = {levels: {"image": expected + np.float32(levels / 255)} for levels in (allowed, allowed + 1)}
    assert expect("image", expected, got[allowed], sampler) == []
    assert len(expect("image", expected, got[allowed + 1], sampler)) == 1


def test_an_array_that_was_not_captured_is_named(expect: Expect) -> None:
    assert expect("cond", np.zeros(3), {}) == ["cond: not captured"]


def test_another_shape_is_a_difference(expect: Expect) -> None:
    assert expect("mask", np.zeros((1, 2, 3)), {"mask": np.zeros((2, 3))}) == ["mask: shape (2, 3), expected (1, 2, 3)"]


def test_what_is_not_a_number_never_agrees(expect: Expect) -> None:
    assert len(expect("latent", np.ones(2), {"latent": np.array([1.0, np.nan])})) == 1


@pytest.mark.parametrize("value", [np.array("a cat"), np.array(19), np.array(True)], ids=["text", "integer", "truth"])
def test_what_is_no_float_must_be_equal(expect: Expect, value: Array) -> None:
    other = np.array("a dog") if value.dtype.kind == "U" else np.array(value + 1 if value.dtype.kind == "i" else False)
    assert expect("value", value, {"value": value}) == []
    assert len(expect("value", value, {"value": other})) == 1
