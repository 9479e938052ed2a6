"""A further entry in models_manifest.yaml, with every comment and every other line of the file left as it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from runtime.errors import InvalidRequest
from runtime.models.manifest import ManifestModel
from runtime.models.manifest_file import compose, read_manifest
from runtime.models.manifest_source import Source

_PLAIN = re.compile(r"^[A-Za-z0-9_./][A-Za-z0-9_ ./@:?=&%+-]*$")
_KEYS = ("name", "folder", "sources", "sha256", "size_bytes", "licence", "preload", "deployments", "pinned")
_HF_PAGE = re.compile(r"^https://huggingface\.co/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/([^?]+)(?:\?download=true)?$")
_CIVITAI_PAGE = re.compile(r"^https://civitai\.com/api/download/models/(\d+)(\?[\w=&%.-]*)?$")


def source_of_url(url: str) -> str:
    """A source as the manifest writes it: what a browser shows of Hugging Face and Civitai becomes hf:// and civitai://.

    Raises InvalidRequest for what is no source.
    """
    if found := _HF_PAGE.match(url):
        url = f"hf://{found[1]}/{found[3]}@{found[2]}"
    elif found := _CIVITAI_PAGE.match(url):
        url = f"civitai://{found[1]}{found[2] or ''}"
    return Source.parse(url).text


def with_entry(text: str, model: ManifestModel) -> str:
    """The manifest `text` with `model` after its last model. Raises InvalidRequest where that would be no manifest."""
    lines = text.splitlines()
    place = _place(text)
    if place is None:
        lines += [*([""] if lines else []), "models:", *_entry(model, indent=2)]
    elif place == _EMPTY:
        at = next(i for i, line in enumerate(lines) if line.startswith("models:"))
        lines[at : at + 1] = ["models:", *_entry(model, indent=2)]
    else:
        after, indent = place
        lines[after + 1 : after + 1] = ["", *_entry(model, indent=indent)]
    written = "\n".join(lines) + "\n"
    manifest, problems = read_manifest(written)
    if manifest is None:
        raise InvalidRequest(f"the entry cannot be added: {problems[0]}")
    return written


def append_entry(path: Path, model: ManifestModel) -> None:
    """Add `model` to the file at `path`, which is replaced whole or not at all, and made where there is none."""
    written = with_entry(path.read_text(encoding="utf-8") if path.exists() else "", model)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(written, encoding="utf-8")
    if path.exists():
        os.chmod(beside, path.stat().st_mode & 0o777)
    os.replace(beside, path)


_EMPTY = (-1, -1)


def _place(text: str) -> tuple[int, int] | None:
    """The last line of the last model, counted from 0, and the indent of its dash; None where there is no list."""
    root = compose(text)
    pairs = root.value if root is not None and isinstance(root.value, list) else []
    models = next((value for key, value in pairs if getattr(key, "value", None) == "models"), None)
    if models is None:
        return None
    if not isinstance(models.value, list) or not models.value:
        return _EMPTY
    if models.flow_style:
        raise InvalidRequest("models is written as [...]; expected one model a line, each after a dash")
    return _last_line(models.value[-1]), models.start_mark.column


def _last_line(node: Any) -> int:
    """Where the last text of a node ends; what follows it may be somebody's comment on the next thing."""
    if isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    line: int = node.end_mark.line
    return line - 1 if node.end_mark.column == 0 and line > node.start_mark.line else line


def _entry(model: ManifestModel, *, indent: int) -> list[str]:
    values = model.model_dump()
    lines: list[str] = []
    for key in _KEYS:
        value = values[key]
        if value in (None, (), False):
            continue
        if key == "sources":
            lines += ["sources:", *(f"  - {_scalar(source)}" for source in value)]
        elif isinstance(value, tuple):
            lines.append(f"{key}: [{', '.join(map(_scalar, value))}]")
        else:
            lines.append(f"{key}: {_scalar(value)}")
    return [" " * indent + ("- " if number == 0 else "  ") + line for number, line in enumerate(lines)]


def _scalar(value: object) -> str:
    """Plain where nobody could read it otherwise, else quoted as JSON, which YAML reads too."""
    if isinstance(value, str) and _PLAIN.match(value) and ": " not in value and not value.isdecimal():
        return value
    return json.dumps(value, ensure_ascii=False)
