from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]
SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("step", "high", "low"), [(2, [8, 4, 2], [2, 1, 0]), (0, [8], [8, 4, 2, 1, 0]), (9, [8, 4, 2, 1, 0], [])]
)
def test_sigmas_are_split_at_a_step(step: int, high: list[float], low: list[float], call: Call) -> None:
    assert [part.tolist() for part in call("SplitSigmas", sigmas=SIGMAS, step=step)] == [high, low]


@pytest.mark.parametrize(
    ("denoise", "high", "low"), [(0.5, [8, 4, 2], [2, 1, 0]), (1.0, [8], [8, 4, 2, 1, 0]), (0.0, [], [0])]
)
def test_sigmas_are_split_by_their_share(denoise: float, high: list[float], low: list[float], call: Call) -> None:
    assert [part.tolist() for part in call("SplitSigmasDenoise", sigmas=SIGMAS, denoise=denoise)] == [high, low]


def test_flipped_sigmas_start_just_above_nought(call: Call) -> None:
    assert call("FlipSigmas", sigmas=SIGMAS)[0].tolist() == pytest.approx([0.0001, 1, 2, 4, 8])
    assert SIGMAS[-1] == 0


def test_no_sigmas_flip_to_none(call: Call) -> None:
    assert call("FlipSigmas", sigmas=torch.empty(0))[0].tolist() == []


def test_the_first_sigma_is_replaced_in_a_copy(call: Call) -> None:
    assert call("SetFirstSigma", sigmas=SIGMAS, sigma=136.0)[0].tolist() == [136, 4, 2, 1, 0]
    assert SIGMAS[0] == 8
