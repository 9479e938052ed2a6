"""One node's inputs against what its class declares."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runtime.graph.hints import Hints
from runtime.graph.node_type import InputSpec, NodeType, types_fit
from runtime.graph.problems import (
    Problem,
    input_problem,
    missing_required,
    no_such_input_file,
    not_in_list,
    shown,
    shown_error,
)
from runtime.graph.workflow import Link, Node, NoLink
from runtime.nodes.protocol import InputFiles

_SCALARS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class Files(Protocol):
    """The files that combos of models and inputs offer, and the deployment's limits on numbers."""

    def options(self, spec: InputSpec) -> Sequence[str]: ...

    def has(self, spec: InputSpec, name: str) -> bool: ...

    def limit(self, spec: InputSpec, inputs: Mapping[str, Any]) -> tuple[float, str] | None:
        """The largest value that this deployment takes for one of a node's inputs, and the setting that says so."""


Checked = tuple[dict[str, Any] | None, dict[str, Any], list[Problem]]


class InputCheck:
    """The check of every node's inputs in one graph."""

    def __init__(self, files: Files, hints: Hints) -> None:
        self._files = files
        self._hints = hints

    def check(self, node: Node, node_type: NodeType, output_type: Callable[[Link], Any]) -> Checked:
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
            elif type(value) is NoLink:
                problem = _bad_list(value, spec)
            else:
                converted, problem = self._check_value(value, spec, node_type, given)
                if problem is None and converted is not value:
                    changed = dict(given) if changed is None else changed
                    changed[name] = converted
            if problem is not None:
                problems.append(problem)
        return changed, received, problems

    def _check_value(
        self, value: Any, spec: InputSpec, node_type: NodeType, inputs: Mapping[str, Any]
    ) -> tuple[Any, Problem | None]:
        converted, problem = _convert(value, spec)
        if problem is None and not node_type.validates_all and spec.name not in node_type.validates:
            problem = _check_range(converted, spec) or self._check_choice(converted, spec)
        if problem is None and not node_type.only_conditions:
            problem = self._check_limit(converted, spec, inputs)
        return converted, problem

    def _check_choice(self, value: Any, spec: InputSpec) -> Problem | None:
        if spec.is_file:
            return self._check_file(value, spec)
        if not isinstance(spec.type, tuple) or value in spec.type or spec.options.get("multiselect"):
            return None
        return not_in_list(spec, value, spec.type, self._hints.near(value, spec.type))

    def _check_file(self, value: Any, spec: InputSpec) -> Problem | None:
        if isinstance(value, str) and self._files.has(spec, value):
            return None
        options = self._files.options(spec)
        near = self._hints.near(value, options)
        if isinstance(spec.type, InputFiles):
            return no_such_input_file(spec, value, near)
        return not_in_list(spec, value, options, near)

    def _check_limit(self, value: Any, spec: InputSpec, inputs: Mapping[str, Any]) -> Problem | None:
        limit = self._files.limit(spec, inputs) if type(value) is int else None
        if limit is None or value <= limit[0]:
            return None
        message = f"the value {shown(value)} is above this deployment's limit, {limit[0]:g} ({limit[1]})"
        return input_problem("value_bigger_than_max", message, spec, received_value=value)


def _check_link(link: Link, spec: InputSpec, received: Any, node_type: NodeType) -> Problem | None:
    if received is None:
        return input_problem(
            "bad_linked_input",
            "the link leads to an output that the node does not have",
            spec,
            f"output {link.output} of node {link.node_id}",
            received_value=list(link),
        )
    if node_type.takes_input_types or _fits(received, spec):
        return None
    wanted = _shown_type("COMBO,STRING" if spec.is_file else spec.type)
    details = f"received_type({_shown_type(received)}) mismatch input_type({wanted})"
    return input_problem(
        "return_type_mismatch",
        "the linked output is of another type",
        spec,
        details,
        received_type=_shown_type(received),
        linked_node=list(link),
    )


def _fits(received: Any, spec: InputSpec) -> bool:
    if spec.is_file:  # a name may come from any combo or text
        return isinstance(received, tuple) or types_fit(received, "COMBO,STRING")
    return types_fit(received, spec.type)


def _shown_type(type_: Any) -> str:
    return type_ if isinstance(type_, str) else "COMBO"


def _bad_list(value: NoLink, spec: InputSpec) -> Problem:
    return input_problem(
        "bad_linked_input",
        'a list stands for a link and must be [node_id, output]; a list that is a value is {"__value__": [...]}',
        spec,
        shown(value.value),
        received_value=value.value,
    )


def _convert(value: Any, spec: InputSpec) -> tuple[Any, Problem | None]:
    if spec.scalar is None:
        return value, None
    kind = _SCALARS[spec.scalar]
    try:
        converted = value if type(value) is kind else kind(value)
        if type(converted) is float and not math.isfinite(converted):
            raise ValueError("it is not a finite number")
    except (TypeError, ValueError, OverflowError) as exc:
        return value, input_problem(
            "invalid_input_type",
            f"the value cannot be read as {spec.scalar}",
            spec,
            f"{shown(value)}: {shown_error(exc)}",
            received_value=value,
            exception_message=shown_error(exc),
        )
    return converted, None


def _check_range(value: Any, spec: InputSpec) -> Problem | None:
    lowest, highest = spec.options.get("min"), spec.options.get("max")
    if not isinstance(value, int | float) or (lowest is None and highest is None):
        return None
    if lowest is not None and value < lowest:
        message = f"the value {shown(value)} is below the least, {lowest}"
        return input_problem("value_smaller_than_min", message, spec, received_value=value)
    if highest is not None and value > highest:
        message = f"the value {shown(value)} is above the greatest, {highest}"
        return input_problem("value_bigger_than_max", message, spec, received_value=value)
    return None
