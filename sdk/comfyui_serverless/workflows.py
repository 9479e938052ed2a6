"""Workflows and what is laid over them, looked at before anything is sent."""

from __future__ import annotations

import base64
import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from comfyui_serverless.errors import ClientError

Workflow = str | Path | Mapping[str, Any]


def read_workflow(workflow: Workflow) -> Mapping[str, Any] | str:
    """The workflow as it is sent: an object that is given, or that of a JSON file, in API format or the editor's.

    A picture that carries its workflow goes as a data: URL; the deployment finds the workflow in it. Raises ClientError
    for a file that cannot be read or holds no workflow.
    """
    if isinstance(workflow, Mapping):
        return workflow
    path = Path(workflow)
    try:
        text = path.read_bytes()
        kind = _picture_type(text)
        if kind is not None:
            return f"data:{kind};base64,{base64.b64encode(text).decode()}"
        data = json.loads(text.decode())
    except OSError as exc:
        raise ClientError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise ClientError(f"{path} is no JSON, nor a PNG or WebP picture: {exc}") from exc
    if not isinstance(data, dict):
        raise ClientError(f"{path} holds a {type(data).__name__}; expected a workflow, an object of nodes")
    return data


def _picture_type(data: bytes) -> str | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def check_overrides(workflow: Mapping[str, Any] | str, overrides: Mapping[str, Any]) -> None:
    """Pass if each key names a value of the workflow, as the deployment will understand it.

    A key is `NODE.input`, NODE being a node's id, title or class_type, or an input's name alone; `seed` is every seed.
    Only the API format is looked at: in the UI format nodes have their names from the deployment, as in a picture's.
    Raises ClientError with the near names.
    """
    if isinstance(workflow, str):
        return
    nodes = {
        id: node
        for id, node in workflow.items()
        if isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)
    }
    listed = workflow.get("nodes")
    if isinstance(listed, list) or (isinstance(listed, Mapping) and "class_type" not in listed):
        return
    for key in overrides:
        _check(key, nodes)


def _check(key: str, nodes: Mapping[str, Any]) -> None:
    if "." not in key:
        _check_input(key, nodes)
        return
    names = [key[:at] for at, letter in enumerate(key) if letter == "."]
    for name in reversed(names):
        found = _named(name, nodes)
        wanted = key[len(name) + 1 :]
        if any(wanted in nodes[id]["inputs"] for id in found):
            if len(found) > 1:
                raise ClientError(f"override {key!r}: {name!r} is nodes {', '.join(found)}; name one by its id")
            return
    name = names[-1]
    found = _named(name, nodes)
    if not found:
        known = [*nodes, *map(_title, nodes.values()), *(str(node.get("class_type")) for node in nodes.values())]
        raise ClientError(f"override {key!r}: no node has the id, title or class_type {name!r}{_near(name, known)}")
    wanted, inputs = key[len(name) + 1 :], nodes[found[0]]["inputs"]
    raise ClientError(f"override {key!r}: node {found[0]} has no input {wanted!r}{_near(wanted, inputs)}")


def _check_input(name: str, nodes: Mapping[str, Any]) -> None:
    wanted = ("seed", "noise_seed") if name == "seed" else (name,)
    found = [
        id for id, node in nodes.items() for each in wanted
        if each in node["inputs"] and not isinstance(node["inputs"][each], list)
    ]  # fmt: skip
    if len(found) > 1 and name != "seed":
        raise ClientError(f"override {name!r} is an input of nodes {', '.join(found)}; write NODE.{name}")
    if not found:
        values = [
            each for node in nodes.values() for each, value in node["inputs"].items() if not isinstance(value, list)
        ]
        raise ClientError(f"override {name!r}: no node has such a value{_near(name, values)}")


def _named(name: str, nodes: Mapping[str, Any]) -> list[str]:
    if name in nodes:
        return [name]
    titled = [id for id, node in nodes.items() if name and _title(node) == name]
    return titled or [id for id, node in nodes.items() if name and node.get("class_type") == name]


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title") or "") if isinstance(meta, Mapping) else ""


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(dict.fromkeys(names)), n=3, cutoff=0.5)
    return f"; nearest: {', '.join(near)}" if near else ""
