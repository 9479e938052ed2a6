"""One node's inputs against what its class declares."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runtime.errors import ServerlessError
from runtime.graph.node_type import InputSpec, NodeType, is_file_combo, types_fit
from runtime.graph.problems import (
    Problem,
    input_problem,
    missing_required,
    no_such_input_file,
    not_in_list,
    shown,
)
from runtime.graph.workflow import Link, Node
from runtime.nodes.protocol import InputFiles

_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_EXACT = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class Files(Protocol):
    """The files that combos of models and inputs offer, and the deployment's limits on numbers."""

    def options(self, spec: InputSpec) -> Sequence[str]: ...

    def has(self, spec: InputSpec, name: str) -> bool: ...

    def limit(self, spec: InputSpec, node: Node) -> tuple[float, str] | None:
        """The largest value that this deployment takes for an input, and the setting that says so."""


Checked = tuple[dict[str, Any] | None, dict[str, Any], list[Problem]]


def check_inputs(node: Node, node_type: NodeType, output_type: Callable[[Link], Any], files: Files) -> Checked:
    """The converted values (None where nothing changed), the types that links bring, and the problems."""
    problems: list[Problem] = []
    received: dict[str, Any] = {}
    changed: dict[str, Any] | None = None
    given = node.inputs
    for name, spec in node_type.inputs.items():
        if name not in given:
            if spec.required:
                problems.append(missing_required(spec))
            continue
        value = given[name]
        if type(value) is Link:
            received[name] = output_type(value)
            problem = _check_link(value, spec, received[name], node_type)
        else:
            converted, problem = _check_value(value, spec, node_type, node, files)
            if problem is None and converted is not value:
                changed = dict(given) if changed is None else changed
                changed[name] = converted
        if problem is not None:
            problems.append(problem)
    return changed, received, problems


def _check_link(link: Link, spec: InputSpec, received: Any, node_type: NodeType) -> Problem | None:
    if received is None:
        return input_problem(
            "bad_linked_input",
            "the link leads to an output that the node does not have",
            spec,
            f"output {link.output} of node {link.node_id}",
            received_value=list(link),
        )
    if node_type.takes_input_types or types_fit(received, _wanted(spec)):
        return None
    details = f"received_type({_shown_type(received)}) mismatch input_type({_shown_type(_wanted(spec))})"
    return input_problem(
        "return_type_mismatch",
        "the linked output is of another type",
        spec,
        details,
        received_type=_shown_type(received),
        linked_node=list(link),
    )


def _wanted(spec: InputSpec) -> Any:
    return "COMBO,STRING" if is_file_combo(spec) else spec.type


def _shown_type(type_: Any) -> str:
    return type_ if isinstance(type_, str) else "COMBO"


def _check_value(
    value: Any, spec: InputSpec, node_type: NodeType, node: Node, files: Files
) -> tuple[Any, Problem | None]:
    if type(value) is list and not spec.is_scalar:
        return value, _bad_list(value, spec)
    converted, problem = _convert(value, spec)
    if problem is None and not node_type.validates_all and spec.name not in node_type.validates:
        problem = _check_range(converted, spec) or _check_choice(converted, spec, files)
    return converted, problem or _check_limit(converted, spec, node, files)


def _bad_list(value: list[Any], spec: InputSpec) -> Problem:
    return input_problem(
        "bad_linked_input",
        "a list stands for a link and must be [node_id, output]",
        spec,
        shown(value),
        received_value=value,
    )


def _convert(value: Any, spec: InputSpec) -> tuple[Any, Problem | None]:
    if not spec.is_scalar:
        return value, None
    try:
        converted = value if type(value) is _EXACT[spec.type] else _CONVERSIONS[spec.type](value)
        if type(converted) is float and not math.isfinite(converted):
            raise ValueError("it is not a finite number")
    except (TypeError, ValueError, OverflowError) as exc:
        return value, input_problem(
            "invalid_input_type",
            f"the value cannot be read as {spec.type}",
            spec,
            f"{shown(value)}: {exc}",
            received_value=shown(value),
            exception_message=str(exc),
        )
    return converted, None


def _check_range(value: Any, spec: InputSpec) -> Problem | None:
    lowest, highest = spec.options.get("min"), spec.options.get("max")
    if not isinstance(value, int | float) or (lowest is None and highest is None):
        return None
    if lowest is not None and value < lowest:
        message = f"the value {value} is below the least, {lowest}"
        return input_problem("value_smaller_than_min", message, spec, received_value=value)
    if highest is not None and value > highest:
        message = f"the value {value} is above the greatest, {highest}"
        return input_problem("value_bigger_than_max", message, spec, received_value=value)
    return None


def _check_choice(value: Any, spec: InputSpec, files: Files) -> Problem | None:
    if is_file_combo(spec):
        return _check_file(value, spec, files)
    if not isinstance(spec.type, tuple) or value in spec.type or spec.options.get("multiselect"):
        return None
    return not_in_list(spec, value, spec.type, _near(value, spec.type))


def _check_file(value: Any, spec: InputSpec, files: Files) -> Problem | None:
    if isinstance(value, str) and files.has(spec, value):
        return None
    options = files.options(spec)
    near = _near(value, options)
    if isinstance(spec.type, InputFiles):
        return no_such_input_file(spec, value, near)
    return not_in_list(spec, value, options, near)


def _near(value: Any, options: Sequence[Any]) -> list[str]:
    texts = [option for option in options if isinstance(option, str)]
    return difflib.get_close_matches(value, texts, n=3, cutoff=0.4) if isinstance(value, str) else []


def _check_limit(value: Any, spec: InputSpec, node: Node, files: Files) -> Problem | None:
    limit = files.limit(spec, node) if type(value) is int else None
    if limit is None or value <= limit[0]:
        return None
    message = f"the value {value} is above this deployment's limit, {limit[0]:g} ({limit[1]})"
    return input_problem("value_bigger_than_max", message, spec, received_value=value)


def run_own_validation(node: Node, node_type: NodeType, received: Mapping[str, Any]) -> list[Problem]:
    """Ask the class's own VALIDATE_INPUTS, with constants as given and links as None, as ComfyUI does."""
    given = {
        name: None if type(value) is Link else value
        for name, value in node.inputs.items()
        if name in node_type.inputs and (node_type.validates_all or name in node_type.validates)
    }
    arguments = {**given, "input_types": dict(received)} if node_type.takes_input_types else given
    declared: Any = node_type.cls
    try:
        answer = declared.VALIDATE_INPUTS(**arguments)
    except ServerlessError as exc:
        answer = exc.message
    except Exception as exc:  # a custom node's own code may raise anything: it is the graph's problem, not ours
        return [Problem(type="exception_during_validation", message="the node's own check failed", details=str(exc))]
    if answer is True:
        return []
    reason = "" if answer is False else f" - {answer}"
    return [
        Problem(
            type="custom_validation_failed",
            message="the node's own check refused the value",
            details=f"{name}{reason}",
            extra_info={"input_name": name},
        )
        for name in (given or {"": None})
    ]
