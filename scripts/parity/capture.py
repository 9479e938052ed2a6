"""What is kept of a value between nodes: arrays by label, as `tests/parity/README.md` lists them.

A label is a kind, or a kind, a dot and a name (`mask.grown`), so that one case can keep several values of a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def arrays_of(label: str, value: object) -> dict[str, Array]:
    """The arrays kept of `value` under `label`, by their names in the npz file.

    Raises KeyError for a kind of label that is not listed.
    """
    kind = label.split(".")[0]
    if kind not in KINDS:
        raise KeyError(f"capture label {label!r}: its kind is {kind!r}, expected one of {', '.join(KINDS)}")
    return {label + suffix: array for suffix, array in KINDS[kind](value).items()}


def _tensor(value: Any) -> dict[str, Array]:
    return {"": _array(value)}


def _of_latent(key: str) -> Callable[[Any], dict[str, Array]]:
    return lambda latent: {"": _array(latent[key])}


def _first_cond(conditioning: Any) -> dict[str, Array]:
    return {"": _array(conditioning[0][0])}


def _first_pooled(conditioning: Any) -> dict[str, Array]:
    return {"": _array(conditioning[0][1]["pooled_output"])}


def _conditioning(conditioning: Any) -> dict[str, Array]:
    """Every entry's tensor as `.INDEX` and each of its options as `.INDEX.OPTION`."""
    arrays: dict[str, Array] = {}
    for index, (tensor, options) in enumerate(conditioning):
        arrays[f".{index}"] = _array(tensor)
        arrays.update(_options(f".{index}", options))
    return arrays


def _options(prefix: str, options: Mapping[str, Any]) -> dict[str, Array]:
    kept = {name: value for name, value in options.items() if value is not None}
    return {f"{prefix}.{name}": _array(value) for name, value in kept.items()}


def _array(value: Any) -> Array:
    """A tensor as float32; a number, text, truth value or tuple of them as numpy takes it."""
    if hasattr(value, "detach"):
        return cast(Array, value.detach().float().cpu().numpy())
    return np.asarray(value)


KINDS: dict[str, Callable[[Any], dict[str, Array]]] = {
    "image": _tensor,
    "mask": _tensor,
    "sigmas": _tensor,
    "value": _tensor,
    "latent": _of_latent("samples"),
    "encoded": _of_latent("samples"),
    "noise_mask": _of_latent("noise_mask"),
    "batch_index": _of_latent("batch_index"),
    "cond": _first_cond,
    "pooled": _first_pooled,
    "conditioning": _conditioning,
}
