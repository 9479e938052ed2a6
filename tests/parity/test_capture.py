"""What is kept of a value between nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.parity.capture import arrays_of

CONDITIONING = [
    [torch.ones(1, 77, 4), {"pooled_output": torch.zeros(1, 4), "area": (8, 8, 0, 4), "strength": 0.5, "mask": None}],
    [torch.zeros(1, 154, 4), {"pooled_output": None}],
]


def test_a_conditioning_is_kept_entry_by_entry_with_its_options() -> None:
    kept = arrays_of("conditioning", CONDITIONING)
    assert sorted(kept) == [
        "conditioning.0",
        "conditioning.0.area",
        "conditioning.0.pooled_output",
        "conditioning.0.strength",
        "conditioning.1",
    ]


def test_cond_is_the_first_entry_alone() -> None:
    assert arrays_of("cond", CONDITIONING)["cond"].shape == (1, 77, 4)


def test_a_label_may_name_a_value_of_its_kind() -> None:
    assert list(arrays_of("mask.red", torch.zeros(1, 2, 2))) == ["mask.red"]


@pytest.mark.parametrize("value", [3, 2**62, 0.1, "a\nb", "", True], ids=repr)
def test_a_primitive_value_survives_as_it_is(value: object) -> None:
    assert arrays_of("value", value)["value"].item() == value


def test_half_precision_is_kept_in_full() -> None:
    kept = arrays_of("latent", {"samples": torch.full((1,), 1.5, dtype=torch.float16)})["latent"]
    assert kept.dtype == np.float32


def test_an_unknown_kind_is_named_with_those_that_there_are() -> None:
    with pytest.raises(KeyError, match=r"'picture\.a'.*expected one of image, mask"):
        arrays_of("picture.a", torch.zeros(1))
