"""How near two results must be: the bounds of `tests/parity/README.md`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scripts.parity.capture import Array
from scripts.parity.case_file import Case

# By kind of label: the largest difference, as a part of the largest expected value.
RELATIVE = {
    "cond": 2e-4,
    "pooled": 2e-4,
    "conditioning": 2e-4,
    "latent": 1e-3,
    "encoded": 1e-3,
    "sigmas": 1e-5,
    "mask": 1e-5,
    "noise_mask": 1e-5,
}
LEVELS = 2
STOCHASTIC_LEVELS = 4


def differences(case: Case, got: Mapping[str, Array]) -> list[str]:
    """What keeps `got`, the arrays captured of `case`, from agreeing with the expected file; empty where they agree."""
    levels = STOCHASTIC_LEVELS if is_stochastic(case) else LEVELS
    with np.load(case.expected) as expected:
        return [
            problem for name in expected.files if (problem := _difference(name, expected[name], got.get(name), levels))
        ]


def is_stochastic(case: Case) -> bool:
    """Whether a sampler of `case` adds noise at each step."""
    names = {str(node["inputs"].get("sampler_name")) for node in case.workflow.values()}
    return any("ancestral" in name or "sde" in name for name in names)


def _difference(name: str, expected: Array, got: Array | None, levels: int) -> str | None:
    if got is None:
        return f"{name}: not captured"
    if got.shape != expected.shape:
        return f"{name}: shape {got.shape}, expected {expected.shape}"
    kind = name.split(".")[0]
    if kind == "image":
        return _levels_apart(name, expected, got, levels)
    if kind in RELATIVE and expected.dtype.kind == "f":
        return _far(name, expected, got, RELATIVE[kind])
    return None if np.array_equal(expected, got) else f"{name}: {got!r}, expected {expected!r}"


def _levels_apart(name: str, expected: Array, got: Array, levels: int) -> str | None:
    apart = int(np.abs(_saved(expected) - _saved(got)).max(initial=0))
    return f"{name}: {apart}/255 apart, at most {levels}/255 is allowed" if apart > levels else None


def _saved(image: Array) -> Array:
    """The 8-bit levels that SaveImage writes."""
    return np.clip(image * np.float32(255), 0, 255).astype(np.uint8).astype(np.int16)


def _far(name: str, expected: Array, got: Array, bound: float) -> str | None:
    largest = np.abs(expected).max(initial=0) or 1.0
    ratio = float(np.abs(got - expected).max(initial=0) / largest)
    return None if ratio <= bound else f"{name}: differs by {ratio:.2g} of the largest value, bound {bound:g}"
