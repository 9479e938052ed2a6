"""What graphs can be made of here: node types, models, embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from fastapi import APIRouter

from runtime.api.errors import NotFound
from runtime.comfyui_api import websocket_images
from runtime.comfyui_api.absent_loaders import with_loaders
from runtime.comfyui_api.access import Parts, Reader
from runtime.comfyui_api.parts import ComfyParts
from runtime.comfyui_api.prompts import loaded_adviser

router = APIRouter()

_UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload")
"""An input whose options have one of these set names a file of the input folder."""


@router.get("/object_info")
def object_info(parts: Parts, principal: Reader) -> Mapping[str, Any]:
    """Every node type; where an input names a file, the caller's uploads are among its values."""
    uploads = parts.files.names(principal.tenant, "input")
    return {name: _with_uploads(entry, uploads) for name, entry in _types(parts).items()}


@router.get("/object_info/{class_type}")
def one_object_info(class_type: str, parts: Parts, principal: Reader) -> Mapping[str, Any]:
    """One node type; nothing where there is none of that name."""
    entry = _types(parts).get(class_type)
    if entry is None:
        return {}
    return {class_type: _with_uploads(entry, parts.files.names(principal.tenant, "input"))}


@router.get("/models")
def folders(parts: Parts, principal: Reader) -> list[str]:
    """The kinds of models."""
    return list(_models(parts))


@router.get("/models/{folder}")
def models(folder: str, parts: Parts, principal: Reader) -> list[str]:
    """The models of a kind."""
    return list(_of_kind(parts, folder))


@router.get("/experiment/models")
def model_folders(parts: Parts, principal: Reader) -> list[dict[str, Any]]:
    """The kinds of models, as the web page's library of models asks for them."""
    return [{"name": folder, "folders": [folder]} for folder in _models(parts)]


@router.get("/experiment/models/{folder}")
def model_files(folder: str, parts: Parts, principal: Reader) -> list[dict[str, Any]]:
    """The models of a kind, for the same."""
    return [{"name": name, "pathIndex": 0} for name in _of_kind(parts, folder)]


@router.get("/embeddings")
def embeddings(parts: Parts, principal: Reader) -> list[str]:
    """The embeddings, as prompts name them."""
    return [str(PurePosixPath(name).with_suffix("")) for name in _models(parts).get("embeddings", ())]


def _types(parts: ComfyParts) -> Mapping[str, Any]:
    types = with_loaders(loaded_adviser(parts.api).object_info(), _models(parts))
    return {**types, websocket_images.CLASS: websocket_images.TYPE}


def _models(parts: ComfyParts) -> Mapping[str, Sequence[str]]:
    return parts.api.models() if parts.api.models is not None else {}


def _of_kind(parts: ComfyParts, folder: str) -> Sequence[str]:
    found = _models(parts).get(folder)
    if found is None:
        raise NotFound(f"there is no kind of models {folder[:100]!r}")
    return found


def _with_uploads(entry: Mapping[str, Any], uploads: Sequence[str]) -> Mapping[str, Any]:
    """The node type, its inputs that name an uploaded file offering those that there are."""
    inputs: Mapping[str, Any] = entry.get("input", {})
    changed = {
        group: {name: _offering(spec, uploads) for name, spec in specs.items()}
        for group, specs in inputs.items()
        if group != "hidden" and any(map(_names_upload, specs.values()))
    }
    return {**entry, "input": {**inputs, **changed}} if changed else entry


def _names_upload(spec: Any) -> bool:
    options = spec[1] if isinstance(spec, list | tuple) and len(spec) > 1 else None
    return isinstance(options, Mapping) and any(options.get(name) is True for name in _UPLOADS)


def _offering(spec: Any, uploads: Sequence[str]) -> Any:
    if not _names_upload(spec):
        return spec
    kind, options = spec[0], spec[1]
    if isinstance(kind, list | tuple):
        return [sorted({*kind, *uploads}), options]
    return [kind, {**options, "options": sorted({*options.get("options", ()), *uploads})}]
