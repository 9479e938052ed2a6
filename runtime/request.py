"""What comes in: one job's request, as clients of every platform write it."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from runtime.errors import InvalidRequest
from runtime.near_names import near_names

JobId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Event = Literal["completed", "failed", "progress"]
PngKeyword = Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,77}[!-~])?$")]
"""The name of a PNG's text chunk: 1 to 79 characters (PNG, third edition, 11.3.3.2), here of ASCII's."""
_MOST_SHOWN = 10
_LONGEST_SHOWN = 100


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFile(_Part):
    """A file for the graph's loaders: base64 (with or without a data: prefix), https:// or s3://."""

    name: str = Field(min_length=1, max_length=255)
    image: str = Field(min_length=1, repr=False)


class OutputOptions(_Part):
    """How pictures come back. `delivery` None: links where there is a store for them, else base64."""

    format: Literal["png", "jpeg", "webp", "original"] = "original"
    quality: int = Field(default=90, ge=1, le=100)
    delivery: Literal["url", "base64"] | None = None
    url_ttl_s: int = Field(default=3600, ge=1, le=7 * 86400)


class Webhook(_Part):
    """Whom to tell."""

    url: str = Field(max_length=2000)
    events: tuple[Event, ...] = ("completed", "failed")


class JobRequest(_Part):
    """One job. Only `workflow` is required."""

    workflow: dict[str, Any] | str = Field(repr=False)
    images: tuple[InputFile, ...] = Field(default=(), max_length=64)
    overrides: dict[str, Any] = {}
    output: OutputOptions = OutputOptions()
    job_id: JobId | None = None
    user_id: str = Field(default="anonymous", pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")
    priority: Literal["low", "normal", "high"] = "normal"
    timeout_s: float = Field(default=600, gt=0, le=86400)
    ttl_s: int = Field(default=86400, ge=60, le=30 * 86400)
    max_attempts: int = Field(default=2, ge=1, le=10)
    webhook: Webhook | None = None
    engine: Literal["auto", "native", "comfyui"] | None = None
    previews: bool = False
    extra_pnginfo: dict[PngKeyword, Any] = Field(default={}, max_length=64, repr=False)
    comfy_org_api_key: SecretStr | None = Field(default=None, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _accept_other_names(cls, data: Any) -> Any:
        """worker-comfyui's `api_key_comfy_org`, and its `images: null`."""
        if not isinstance(data, dict):
            return data
        given = {name: value for name, value in data.items() if value is not None}
        if "api_key_comfy_org" in given:
            given.setdefault("comfy_org_api_key", given.pop("api_key_comfy_org"))
        return given

    def to_text(self) -> str:
        """The request as it is kept for another worker: whole, but for the API key, which is never kept."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True))

    @classmethod
    def parse(cls, data: object, *, strict: bool = True) -> tuple[JobRequest, list[str]]:
        """Read a request, an object or a string of JSON, and the warnings about it.

        An unknown field is an error where `strict`, else a warning. Raises InvalidRequest naming each field that is
        wrong, its value and what was expected.
        """
        data = _as_object(data)
        try:
            return cls.model_validate(data), []
        except ValidationError as exc:
            unknown = [error["loc"] for error in exc.errors() if error["type"] == "extra_forbidden"]
            if strict or len(unknown) < exc.error_count():
                lines = dict.fromkeys(map(_explain, exc.errors()))
                raise InvalidRequest("; ".join([*lines][:_MOST_SHOWN])) from exc
        known, _ = cls.parse(_without(data, unknown))
        return known, [
            f"{_path(loc)} is no field of a request and was left out{_meant(loc)}" for loc in unknown[:_MOST_SHOWN]
        ]


_PARTS: Mapping[int | str, str] = {"images": "InputFile", "output": "OutputOptions", "webhook": "Webhook"}
_FIELDS: Mapping[str | None, Sequence[str]] = {
    part.__name__: tuple(part.model_fields) for part in (InputFile, OutputOptions, Webhook)
}
_ELSEWHERE = {"prompt": "workflow in its place", "seed": 'overrides, as in {"seed": 7}'}
"""What other APIs call a field, or have at this place."""


def _as_object(data: object) -> Mapping[Any, Any]:
    if isinstance(data, str | bytes):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise InvalidRequest(f"input is a string that is not JSON: {str(exc)[:200]}") from exc
    if not isinstance(data, Mapping):
        raise InvalidRequest(f"input is {_shown(data)}; expected an object with a workflow")
    return data


def _without(data: Any, places: Sequence[tuple[int | str, ...]]) -> Any:
    """`data` without what lies at `places`; what is changed is a copy."""
    dropped = {place[0] for place in places if len(place) == 1}
    deeper = {place[0] for place in places if len(place) > 1}
    if isinstance(data, Mapping):
        pairs: Iterable[tuple[Any, Any]] = data.items()
    else:
        pairs = enumerate(data)
    kept = {
        name: _without(value, [place[1:] for place in places if place[0] == name and len(place) > 1])
        if name in deeper
        else value
        for name, value in pairs
        if name not in dropped
    }
    return kept if isinstance(data, Mapping) else list(kept.values())


def _explain(error: Any) -> str:
    path = _path(error["loc"])
    if error["type"] == "missing":
        return f"{path} is missing"
    if error["type"] == "extra_forbidden":
        return f"{path} is no field of a request{_meant(error['loc'])}"
    if error["loc"][:1] == ("workflow",):
        return f"workflow is {_shown(error['input'])}; expected an object of nodes by id, or a string of its JSON"
    shown = "" if _is_secret(error["loc"]) else f" is {_shown(error['input'])}"
    if error["type"] == "tuple_type":
        return f"{path}{shown}; expected a list"
    if error["type"] in ("dict_type", "model_type"):
        fields = _FIELDS.get(error.get("ctx", {}).get("class_name"), ())
        return f"{path}{shown}; expected an object{' of ' if fields else ''}{', '.join(fields)}"
    return f"{path}{shown}: {error['msg']}"


def _meant(loc: Sequence[int | str]) -> str:
    """What somebody may have meant by a field that is none."""
    fields = (*JobRequest.model_fields, *_ELSEWHERE) if len(loc) == 1 else _FIELDS.get(_PARTS.get(loc[0]), ())
    near = near_names(str(loc[-1]), fields, count=1)
    if not near:
        return ""
    return f"; expected {_ELSEWHERE[near[0]]}" if near[0] in _ELSEWHERE else f"; near it: {near[0]}"


def _path(loc: Sequence[int | str]) -> str:
    """The place of a value; names in it are the client's, and pydantic's own begin with a bracket."""
    return ".".join(str(part) for part in loc if part != "[key]")[:200] or "input"


def _is_secret(loc: Sequence[int | str]) -> bool:
    """Whether the value may hold a key, or an address that opens something: these are never shown."""
    return not loc or "key" in _path(loc) or (loc[0] in ("images", "webhook") and loc[-1] not in ("name", "events"))


def _shown(value: object) -> str:
    """The value as a message shows it, at a cost that does not grow with it."""
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        return f"{value[:_LONGEST_SHOWN]!r}... ({len(value)} characters)"
    text = reprlib.repr(value) if isinstance(value, Mapping | list | tuple | int) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
