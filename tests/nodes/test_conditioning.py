from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]
Entry = list[Any]


def _entry(value: float, tokens: int = 2, **options: Any) -> Entry:
    return [torch.full((1, tokens, 3), value), {"pooled_output": torch.full((1, 5), value), **options}]


def test_combined_conditionings_stand_side_by_side(call: Call) -> None:
    first, second = [_entry(1.0)], [_entry(2.0), _entry(3.0)]
    assert call("ConditioningCombine", conditioning_1=first, conditioning_2=second)[0] == [*first, *second]
    assert len(first) == 1


def test_concatenated_tokens_follow_those_of_every_entry(call: Call) -> None:
    (joined,) = call(
        "ConditioningConcat", conditioning_to=[_entry(1.0), _entry(2.0)], conditioning_from=[_entry(3.0, tokens=1)]
    )
    assert [entry[0][0, :, 0].tolist() for entry in joined] == [[1, 1, 3], [2, 2, 3]]
    assert joined[1][1]["pooled_output"][0, 0] == 2


def test_an_average_weighs_tokens_and_pooled_output(call: Call) -> None:
    (average,) = call(
        "ConditioningAverage",
        conditioning_to=[_entry(1.0, mask="kept")],
        conditioning_from=[_entry(5.0)],
        conditioning_to_strength=0.75,
    )
    tensor, options = average[0]
    assert tensor.unique().tolist() == options["pooled_output"].unique().tolist() == [2.0]
    assert options["mask"] == "kept"


@pytest.mark.parametrize(("tokens", "mixed"), [(1, [2.0, 0.5]), (3, [2.0, 2.0])], ids=["shorter", "longer"])
def test_an_average_has_the_length_of_the_first(tokens: int, mixed: list[float], call: Call) -> None:
    (average,) = call(
        "ConditioningAverage",
        conditioning_to=[_entry(1.0)],
        conditioning_from=[_entry(3.0, tokens=tokens)],
        conditioning_to_strength=0.5,
    )
    assert average[0][0][0, :, 0].tolist() == mixed


@pytest.mark.parametrize(
    ("ours", "theirs", "pooled"), [(None, 3.0, 3.0), (1.0, None, 1.0), (None, None, None)], ids=str
)
def test_a_pooled_output_that_one_side_lacks_is_the_other_sides(
    ours: float | None, theirs: float | None, pooled: float | None, call: Call
) -> None:
    entries = [_entry(0.0, pooled_output=None if value is None else torch.tensor([value])) for value in (ours, theirs)]
    (average,) = call(
        "ConditioningAverage",
        conditioning_to=entries[:1],
        conditioning_from=entries[1:],
        conditioning_to_strength=0.5,
    )
    assert average[0][1]["pooled_output"] == pooled


@pytest.mark.parametrize("name", ["ConditioningConcat", "ConditioningAverage"])
def test_only_the_first_of_several_is_taken_and_that_is_said(
    name: str, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    more = {"conditioning_to_strength": 1.0} if name == "ConditioningAverage" else {}
    call(name, conditioning_to=[_entry(1.0)], conditioning_from=[_entry(2.0), _entry(3.0)], **more)
    assert f"{name} uses the first of the 2 entries" in caplog.text


@pytest.mark.parametrize("pooled", [torch.ones(1, 5), None], ids=["pooled", "without"])
def test_zeroed_conditioning_keeps_its_shape_and_options(pooled: Any, call: Call) -> None:
    (zeroed,) = call("ConditioningZeroOut", conditioning=[_entry(1.0, pooled_output=pooled, strength=2.0)])
    tensor, options = zeroed[0]
    assert torch.equal(tensor, torch.zeros(1, 2, 3))
    assert options["strength"] == 2.0
    assert options["pooled_output"] is None or torch.equal(options["pooled_output"], torch.zeros(1, 5))


def test_a_timestep_range_is_set_on_every_entry_of_a_copy(call: Call) -> None:
    given = [_entry(1.0), _entry(2.0)]
    (limited,) = call("ConditioningSetTimestepRange", conditioning=given, start=0.25, end=0.5)
    assert [(entry[1]["start_percent"], entry[1]["end_percent"]) for entry in limited] == [(0.25, 0.5)] * 2
    assert "start_percent" not in given[0][1]
