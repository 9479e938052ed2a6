from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.errors import InputRejected


class Recorder:
    """A VALIDATE_INPUTS that answers what it is told to, and keeps what it was asked."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def reply(self, **asked: Any) -> Any:
        self.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def judge(deployment: Any, node_class: Callable[..., type]) -> Callable[..., Any]:
    """Checks a graph whose output node `Own` asks the recorder by `validate`, and answers its problems."""

    def check(validate: Callable[..., Any], inputs: dict[str, Any], **declared: Any) -> Any:
        specs = {"a": ("INT", {"max": 10}), "b": ("INT", {"max": 10})}
        own = node_class(
            lambda: (),
            optional=specs,
            hidden={"me": "UNIQUE_ID"},
            output=True,
            VALIDATE_INPUTS=classmethod(validate),
            **declared,
        )
        deployment.add("Own", own)
        graph = {"o": {"class_type": "Own", "inputs": inputs}, "v": {"class_type": "Value", "inputs": {}}}
        return deployment.check(graph).node_errors.get("o", {}).get("errors", [])

    return check


def test_the_class_is_given_the_inputs_that_its_check_names(judge: Any) -> None:
    recorder = Recorder()
    assert judge(lambda cls, a: recorder.reply(a=a), {"a": "3", "b": 4}) == []
    assert recorder.asked == {"a": 3}


def test_a_link_is_given_as_none(judge: Any) -> None:
    recorder = Recorder()
    judge(lambda cls, a, b: recorder.reply(a=a, b=b), {"a": ["v", 0], "b": 4})
    assert recorder.asked == {"a": None, "b": 4}


def test_a_check_with_keywords_is_given_everything_and_the_nodes_id(judge: Any) -> None:
    recorder = Recorder()
    judge(lambda cls, **given: recorder.reply(**given), {"a": 1, "b": 2, "foreign": 3})
    assert recorder.asked == {"a": 1, "b": 2, "me": "o"}


def test_an_input_that_the_class_checks_itself_has_no_other_bounds(judge: Any) -> None:
    assert judge(lambda cls, a: True, {"a": 99}) == []


def test_an_input_that_the_check_does_not_name_keeps_its_bounds(judge: Any) -> None:
    (error,) = judge(lambda cls, a: True, {"b": 99, "a": 1})
    assert error["type"] == "value_bigger_than_max"


def test_a_text_is_the_reason_of_a_refusal(judge: Any) -> None:
    (error,) = judge(lambda cls, a: "too odd", {"a": 1})
    assert (error["type"], error["details"]) == ("custom_validation_failed", "a - too odd")


def test_false_is_a_refusal_without_a_reason(judge: Any) -> None:
    (error,) = judge(lambda cls, a: False, {"a": 1})
    assert error["details"] == "a"


def test_a_refusal_is_reported_for_each_input_that_was_checked(judge: Any) -> None:
    errors = judge(lambda cls, a, b: "no", {"a": 1, "b": 2})
    assert [error["extra_info"]["input_name"] for error in errors] == ["a", "b"]


def test_an_error_of_ours_is_a_refusal_with_its_message(judge: Any) -> None:
    recorder = Recorder(InputRejected("the file is odd"))
    (error,) = judge(lambda cls, a: recorder.reply(), {"a": 1})
    assert error["details"] == "a - the file is odd"


def test_a_check_that_breaks_is_a_problem_of_the_node(judge: Any) -> None:
    recorder = Recorder(ZeroDivisionError("by zero"))
    (error,) = judge(lambda cls, a: recorder.reply(), {"a": 1})
    assert (error["type"], error["details"]) == ("exception_during_validation", "by zero")


def test_an_asynchronous_check_is_awaited(judge: Any) -> None:
    async def validate(cls: type, a: int) -> str:
        return f"not {a}"

    (error,) = judge(validate, {"a": 1})
    assert error["details"] == "a - not 1"


def test_a_class_that_takes_lists_is_asked_with_lists(judge: Any) -> None:
    recorder = Recorder()
    judge(lambda cls, a: recorder.reply(a=a), {"a": 3}, INPUT_IS_LIST=True)
    assert recorder.asked == {"a": [3]}


def test_a_class_may_check_the_types_of_its_links_itself(judge: Any) -> None:
    recorder = Recorder()
    assert judge(lambda cls, input_types: recorder.reply(**input_types), {"a": ["v", 1]}) == []
    assert recorder.asked == {"a": "IMAGE"}


def test_the_class_is_not_asked_about_inputs_that_are_wrong_already(judge: Any) -> None:
    recorder = Recorder()
    judge(lambda cls, a: recorder.reply(a=a), {"a": 1, "b": 99})
    assert recorder.asked == {}
