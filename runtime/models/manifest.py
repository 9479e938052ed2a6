"""The models that a deployment is made of: where each comes from, what it must be, and where it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from runtime.errors import ServerlessError
from runtime.models.folders import KINDS, OLD_KINDS, SUFFIXES, check_name
from runtime.models.manifest_source import SCHEMES, Source
from runtime.near_names import near_names

_MAX_SEGMENT_BYTES = 200  # room for what is written beside a file, under its name and a suffix
_KIND_OF_FOLDER = {folder: kind for kind, folders in KINDS.items() for folder in folders} | OLD_KINDS


def _is_name(name: str) -> str:
    try:
        check_name(name)
    except ServerlessError as exc:
        raise ValueError(exc.message) from exc
    if any(len(part.encode()) > _MAX_SEGMENT_BYTES or part.startswith(".") for part in name.split("/")):
        raise ValueError(f"expected parts of at most {_MAX_SEGMENT_BYTES} bytes that begin with no dot, got {name!r}")
    return name


def _is_source(text: str) -> str:
    try:
        Source.parse(text)
    except ServerlessError as exc:
        raise ValueError(exc.message) from exc
    return text


def _in_lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_is_name)]
SourceText = Annotated[
    str, AfterValidator(_is_source), Field(json_schema_extra={"pattern": f"^({'|'.join(SCHEMES)})://"})
]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ManifestModel(_Entry):
    """One model file."""

    name: Name
    """The file's name as a workflow names it: a path below the folder."""
    folder: Name = Field(json_schema_extra={"examples": [*sorted(_KIND_OF_FOLDER)]})
    """The folder below the models folder, as ComfyUI names it (checkpoints, loras, ...)."""
    sources: tuple[SourceText, ...] = Field(min_length=1)
    """Where the file is fetched from, in the order in which they are tried: hf://OWNER/REPO/FILE@REVISION,
    s3://BUCKET/KEY, https://..., civitai://MODEL_VERSION_ID, file:///PATH."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        json_schema_extra={"pattern": "^[0-9a-fA-F]{64}$"}
    )
    """The SHA-256 of the file in hex: what does not have it is never put in place."""
    size_bytes: int | None = Field(default=None, ge=1)
    """The file's size, so that room is found before the first byte is asked for."""
    licence: str | None = None
    """The licence that the file is under, for whoever deploys it."""
    preload: Literal["gpu", "ram"] | None = None
    """Where it is loaded to before the worker takes jobs; by default when a job first needs it."""
    deployments: tuple[str, ...] = ()
    """The deployments (DEPLOYMENT) that take it; none listed means every one."""
    aliases: tuple[Name, ...] = ()
    """Other names that a workflow may give it."""
    pinned: bool = False
    """Never removed to make room."""

    @field_validator("sha256", mode="before")
    @classmethod
    def _read_any_case(cls, value: object) -> object:
        return _in_lower_case(value)

    @model_validator(mode="after")
    def _has_suffix(self) -> ManifestModel:
        if self.folder in _KIND_OF_FOLDER and not self.name.lower().endswith(SUFFIXES):
            raise ValueError(f"{self.name!r} has none of the suffixes that a loader looks for: {', '.join(SUFFIXES)}")
        return self

    @property
    def kind(self) -> str:
        """ComfyUI's kind of model, which several folders may hold: `diffusion_models` for `unet`."""
        return _KIND_OF_FOLDER.get(self.folder, self.folder)

    @property
    def path(self) -> str:
        """Where it lies below the models folder."""
        return f"{self.folder}/{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a workflow may give it, its own first."""
        return (self.name, *self.aliases)


class CustomNode(_Entry):
    """A folder of custom nodes that the image is built with."""

    url: str = Field(pattern=r"^https://[^\s@]+$|^git@[^\s]+$|^ssh://[^\s]+$")
    """The git repository, without a password."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    """The whole commit hash: a branch would be another thing tomorrow."""


class Manifest(_Entry):
    """What models_manifest.yaml holds."""

    version: Literal[1] = 1
    """The version of this format."""
    models: tuple[ManifestModel, ...] = ()
    """The models, in no order that matters."""
    custom_nodes: tuple[CustomNode, ...] = ()
    """Custom nodes for the image build."""
    extra_folders: tuple[Name, ...] = ()
    """Folders that custom nodes read and ComfyUI itself does not know, such as ipadapter."""

    @field_validator("models", "custom_nodes", "extra_folders", mode="before")
    @classmethod
    def _read_nothing_as_none(cls, value: object) -> object:
        return () if value is None else value

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        if problems := list(self._conflicts()):
            raise ManifestConflicts(problems)
        return self

    def of(self, deployment: str) -> Manifest:
        """The part of it that one deployment takes."""
        taken = tuple(model for model in self.models if not model.deployments or deployment in model.deployments)
        return self.model_copy(update={"models": taken})

    def beside(self, deployment: str) -> Manifest:
        """The part of it that only other deployments take."""
        others = tuple(model for model in self.models if model.deployments and deployment not in model.deployments)
        return self.model_copy(update={"models": others})

    def find(self, kind: str, name: str) -> ManifestModel | None:
        """The model that a workflow means by `name`, in the folders of `kind`."""
        kind = _KIND_OF_FOLDER.get(kind, kind)
        return next((model for model in self.models if model.kind == kind and name in model.names), None)

    def names(self, kind: str) -> list[str]:
        """Every name that a workflow may give a model of `kind`."""
        return [name for model in self.models if model.kind == kind for name in model.names]

    def _conflicts(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Key and message of everything that no entry shows on its own."""
        known = {*_KIND_OF_FOLDER, *self.extra_folders}
        taken: dict[tuple[str, str], int] = {}
        for index, model in enumerate(self.models):
            if model.folder not in known:
                near = near_names(model.folder, known)
                hint = f"near names: {', '.join(near)}" if near else f"expected one of {', '.join(sorted(known))}"
                yield (
                    ("models", index, "folder"),
                    f"{model.folder!r} is no folder of ComfyUI and not in extra_folders; {hint}",
                )
            for position, name in enumerate(model.names):
                first = taken.setdefault((model.kind, name), index)
                if first != index:
                    key: tuple[str | int, ...] = ("name",) if position == 0 else ("aliases", position - 1)
                    yield ("models", index, *key), f"{name!r} is taken by models[{first}] in the same kind of folder"


class ManifestConflicts(ValueError):
    """Entries that are right each on its own and wrong together."""

    def __init__(self, problems: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def json_schema() -> dict[str, Any]:
    """The JSON schema that editors complete and check the manifest by."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Manifest.model_json_schema(),
        "title": "models_manifest.yaml",
    }
