"""The CloudFormation template as data, and how it differs from the one that is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

TEMPLATE = Path(__file__).resolve().parents[1] / "aws.yaml"

_CONDITIONS = ("And", "Equals", "If", "Not", "Or")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a deployment does to one resource."""

    action: Literal["create", "update", "delete", "keep"]
    logical_id: str
    type: str
    where: tuple[str, ...] = ()
    """The properties that change."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is {"Ref": "x"}, `!Sub x` is {"Fn::Sub": "x"}."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise yaml.constructor.ConstructorError(None, None, f"!{suffix} of nothing", node.start_mark)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_template(text: str) -> dict[str, Any]:
    """A template's text as data, its short forms written out."""
    template = _Loader(text).get_single_data()
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise ValueError("the template has no Resources")
    return template


def changes(
    deployed: Mapping[str, Any] | None,
    wanted: Mapping[str, Any],
    *,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> list[Change]:
    """What turns the deployed template with its parameters `before` into the wanted one with `after`, by name."""
    old = _resources(deployed, before) if deployed else {}
    new = _resources(wanted, after)
    return [_change(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]


def _change(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Change:
    if new is None:
        return Change(action="delete", logical_id=name, type=str((old or {}).get("Type")))
    kind = str(new["Type"])
    if old is None:
        return Change(action="create", logical_id=name, type=kind)
    was, shall = old.get("Properties", {}), new.get("Properties", {})
    where = tuple(sorted(key for key in was.keys() | shall.keys() if was.get(key) != shall.get(key)))
    return Change(action="update" if where else "keep", logical_id=name, type=kind, where=where)


def _resources(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The resources whose condition holds, with parameters and conditions put in."""
    values = {name: str(given.get("Default", "")) for name, given in template.get("Parameters", {}).items()}
    values |= parameters
    held = {name: _filled(test, values, {}) for name, test in template.get("Conditions", {}).items()}
    return {
        name: _filled(resource, values, held)
        for name, resource in template["Resources"].items()
        if held.get(resource.get("Condition"), True)
    }


def _filled(value: Any, values: Mapping[str, str], held: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(item, values, held) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref" and argument in values:
            return values[argument]
        if name.removeprefix("Fn::") in _CONDITIONS:
            return _decided(name.removeprefix("Fn::"), argument, values, held)
        if name == "Fn::Sub" and isinstance(argument, str):
            return {name: substituted(argument, values)}
    return {key: _filled(item, values, held) for key, item in value.items()}


def _decided(name: str, argument: Any, values: Mapping[str, str], held: Mapping[str, Any]) -> Any:
    if name == "If":
        condition, then, otherwise = argument
        return _filled(then if held.get(condition) else otherwise, values, held)
    parts = [_filled(part, values, held) for part in argument]
    if name == "Equals":
        return parts[0] == parts[1]
    if name == "Not":
        return not parts[0]
    return all(parts) if name == "And" else any(parts)


def substituted(text: str, values: Mapping[str, str]) -> str:
    """The text of a `!Sub` with the values put in that are known."""
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text
