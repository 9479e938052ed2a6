"""models_manifest.yaml on disk: read with every problem placed by line and key, written with its comments kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from runtime.errors import SettingsInvalid
from runtime.models.manifest import CustomNode, Manifest, ManifestConflicts, ManifestModel
from runtime.near_names import near_names
from runtime.yaml_places import Key, explain_syntax, line_of, parse, repeated_keys, shown

if TYPE_CHECKING:
    from yaml import Node

_MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class ManifestProblem:
    """What is wrong at one place of the file; `line` counts from 1."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.key}: {self.message}" if self.key else f"line {self.line}: {self.message}"


def load_manifest(path: Path) -> Manifest:
    """The manifest at `path`. Raises SettingsInvalid that names line and key of everything that is wrong in it."""
    manifest, problems = read_manifest(_read(path))
    if manifest is None:
        raise SettingsInvalid(f"{path}: {'; '.join(map(str, problems[:_MOST_SHOWN]))}")
    return manifest


def read_manifest(text: str) -> tuple[Manifest | None, Sequence[ManifestProblem]]:
    """The manifest that `text` holds, or None and everything that is wrong in it, in the order of the file."""
    from yaml import YAMLError

    try:
        data, tree = parse(text)
    except YAMLError as exc:
        line, message = explain_syntax(exc)
        return None, [ManifestProblem(line=line, key="", message=message)]
    if repeated := list(repeated_keys(tree)):
        return None, [
            ManifestProblem(line=line, key=shown(key), message="stands here a second time") for line, key in repeated
        ]
    try:
        return Manifest.model_validate({} if data is None else data), ()
    except ValidationError as exc:
        errors = [error for error in exc.errors() if error["type"] != "too_short" or not error["input"]]
        found = [problem for error in errors for problem in _problems(error, tree)]
        return None, sorted(found, key=lambda problem: problem.line)


def compose(text: str) -> Node | None:
    """The tree of a YAML document, which knows the place of everything in it; None for an empty one."""
    return parse(text)[1]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise SettingsInvalid(f"MODELS_MANIFEST is {str(path)!r}; there is no such file") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"MODELS_MANIFEST is {str(path)!r}, which cannot be read: {exc}") from exc


def _problems(error: Any, tree: Node | None) -> Iterator[ManifestProblem]:
    key: Key = error["loc"]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ManifestConflicts):
        for place, message in cause.problems:
            yield ManifestProblem(line=line_of(tree, place), key=shown(place), message=message)
        return
    message = str(cause) if cause is not None else _explain(error)
    yield ManifestProblem(line=line_of(tree, key), key=shown(key), message=message)


def _explain(error: Any) -> str:
    kind, value, key = error["type"], error["input"], error["loc"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        known = list(_fields(key))
        near = near_names(str(key[-1]), known)
        return f"is no key here; {'did you mean ' + near[0] if near else 'expected one of ' + ', '.join(known)}"
    if kind == "too_short":
        return "is empty; expected at least one"
    if kind == "string_pattern_mismatch":
        return f"{_cut(value)} does not match; expected {_EXPECTED.get(str(key[-1]), error['ctx']['pattern'])}"
    return f"{_cut(value)}: {error['msg'][:1].lower()}{error['msg'][1:]}"


_EXPECTED = {
    "sha256": "64 hex digits, which `comfyui-serverless models add` finds out",
    "commit": "a whole commit hash, 40 hex digits",
    "url": "https://HOST/REPOSITORY",
}


def _fields(key: Key) -> Iterator[str]:
    owners: Mapping[object, type[BaseModel]] = {"models": ManifestModel, "custom_nodes": CustomNode}
    return iter(owners[key[0]].model_fields if len(key) > 1 else Manifest.model_fields)


def _cut(value: object) -> str:
    """`value` as a message shows it: an address without what may be a password or a signature."""
    text = re.sub(r"(://)[^/@']*@", r"\1", re.sub(r"(://[^?']*)\?[^']*", r"\1", repr(value)))
    return text if len(text) <= 80 else f"{text[:80]}..."
