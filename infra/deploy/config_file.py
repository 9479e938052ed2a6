"""`deploy.yaml` on disk: read with every problem placed by line and key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from infra.deploy.config import DeployConfig, merged
from infra.deploy.errors import DeployError
from runtime.near_names import near_names
from runtime.yaml_places import Key, explain_syntax, find, line_of, parse, repeated_keys, shown

if TYPE_CHECKING:
    from yaml import Node

_OVERLAYS = "environments"


def read_config(path: Path, *, environment: str | None = None) -> DeployConfig:
    """The file's deployment with the overlay of its environment, which is `environment` where that is given.

    The defaults where there is no file. Raises DeployError naming line, key and value of everything that is wrong, and
    what was expected.
    """
    data, tree = _parsed(path)
    chosen = environment or data.get("environment", DeployConfig().environment)
    overlay = _overlay(path, data, tree, chosen)
    try:
        return DeployConfig.model_validate({**merged(data, overlay), "environment": chosen})
    except ValidationError as exc:
        places = [(_place(tree, error["loc"], chosen), error) for error in exc.errors()]
        said = [f"{path}:{line}: {_explain(error)}" for line, error in sorted(places, key=lambda found: found[0])]
        raise DeployError("; ".join(said)) from exc


def _parsed(path: Path) -> tuple[dict[str, Any], Node | None]:
    from yaml import YAMLError

    try:
        data, tree = parse(path.read_text(encoding="utf-8") if path.exists() else "")
    except (OSError, UnicodeDecodeError) as exc:
        raise DeployError(f"{path} cannot be read: {exc}") from exc
    except YAMLError as exc:
        line, message = explain_syntax(exc)
        raise DeployError(f"{path}:{line}: {message}") from exc
    for line, key in repeated_keys(tree):
        raise DeployError(f"{path}:{line}: {shown(key)} stands here a second time")
    if data is None:
        return {}, tree
    if not isinstance(data, dict):
        raise DeployError(f"{path}:1: is a {type(data).__name__}; expected fields such as `name: comfyui`")
    return data, tree


def _overlay(path: Path, data: dict[str, Any], tree: Node | None, environment: object) -> dict[str, Any]:
    overlays = data.get(_OVERLAYS)
    overlay = overlays.get(environment) if isinstance(overlays, dict) else None
    if not isinstance(overlay, dict):
        return {}  # the classes say what is wrong with anything but a mapping
    for name in ("environment", _OVERLAYS):
        if name in overlay:
            key = (_OVERLAYS, str(environment), name)
            raise DeployError(f"{path}:{line_of(tree, key)}: {shown(key)} is no field of an environment")
    return overlay


def _place(tree: Node | None, key: Key, environment: object) -> int:
    over = find(tree, (_OVERLAYS, str(environment), *key))
    return line_of(tree, key) if over is None else over


def _explain(error: Any) -> str:
    kind, value, key = error["type"], error["input"], error["loc"]
    if kind == "value_error":
        return f"{shown(key)}{': ' if key else ''}{error['ctx']['error']}"
    if kind == "extra_forbidden":
        known = list(_section(key[:-1]).model_fields)
        near = near_names(str(key[-1]), known)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        return f"{shown(key)} is no field here; {hint}"
    name, wanted = shown(tuple(part for part in key if part != "[key]")), error["msg"]
    if kind == "string_pattern_mismatch":
        wanted = _description(key) or f"a text that matches {error['ctx']['pattern']}"
    is_secret = any(str(part).endswith("secrets") for part in key)
    shown_value = "a text that is no secret's name" if is_secret else repr(value)[:80]
    return f"{name} is {shown_value}; expected {wanted.removeprefix('Input should be ')}"


def _section(key: Iterable[str | int]) -> type[BaseModel]:
    """The class of the section at `key`."""
    section: type[BaseModel] = DeployConfig
    for part in key:
        field = section.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    return section


def _description(key: Key) -> str | None:
    field = _section(key[:-1]).model_fields.get(str(key[-1]))
    return field.description if field else None
