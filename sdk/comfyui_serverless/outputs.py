"""What a job made."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Output:
    """One file that a job made. `url` expires at `url_expires_at`; `data` is there where the deployment sent bytes."""

    node_id: str
    kind: str
    filename: str
    content_type: str = "application/octet-stream"
    size_bytes: int = 0
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    temporary: bool = False
    text: str | None = None
    url: str | None = field(default=None, repr=False)
    url_expires_at: str | None = None
    data: bytes | None = field(default=None, repr=False)
    fetch: Callable[[Output], bytes] | None = field(default=None, repr=False, compare=False)

    def bytes(self) -> bytes:
        """The file, fetched if it has to be, by a new link where this one has expired."""
        if self.data is not None:
            return self.data
        if self.text is not None:
            return self.text.encode()
        if self.fetch is None:
            raise ValueError(f"{self.filename} came without its bytes and without a client that could fetch them")
        return self.fetch(self)

    def save(self, path: str | Path) -> Path:
        """Write the file to `path`, or into it under its own name where that is a folder."""
        target = Path(path)
        if target.is_dir():
            target = target / Path(self.filename).name
        target.write_bytes(self.bytes())
        return target

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook shows: the picture itself."""
        if self.kind != "image" or not self.content_type.startswith("image/"):
            return {"text/plain": repr(self)}
        encoded = base64.b64encode(self.bytes()).decode()
        return {"text/plain": repr(self), "text/html": f'<img src="data:{self.content_type};base64,{encoded}">'}

    def pil(self) -> Image:
        """The picture, as Pillow has it (which is to be installed)."""
        import io

        from PIL import Image

        return Image.open(io.BytesIO(self.bytes()))


@dataclass(frozen=True, kw_only=True)
class Result:
    """A job that completed. `images` are the pictures that the graph saves; previews are among `outputs` alone."""

    job_id: str
    outputs: tuple[Output, ...]
    engine: str | None = None
    timings_ms: Mapping[str, Any] = field(default_factory=dict)
    cached_nodes: tuple[str, ...] = ()
    seed_used: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[Output, ...]:
        return tuple(output for output in self.outputs if output.kind == "image" and not output.temporary)


def result_of(wire: Mapping[str, Any], fetch: Callable[[Output], bytes] | None) -> Result:
    """The result on the wire; with base64 delivery the pictures' bytes stand in its `images`, in the outputs' order."""
    sent = iter([image["data"] for image in wire.get("images", ()) if image.get("type") == "base64"])
    return Result(
        job_id=str(wire["job_id"]),
        outputs=tuple(_output(made, sent, fetch) for made in wire.get("outputs", ())),
        engine=wire.get("engine"),
        timings_ms=wire.get("timings_ms", {}),
        cached_nodes=tuple(wire.get("cached_nodes", ())),
        seed_used=wire.get("seed_used", {}),
        warnings=tuple(wire.get("warnings", ())),
    )


def _output(made: Mapping[str, Any], sent: Iterator[str], fetch: Callable[[Output], bytes] | None) -> Output:
    encoded = made.get("data")
    if encoded is None and made["kind"] == "image" and not made.get("temporary") and "url" not in made:
        encoded = next(sent, None)
    names = set(Output.__dataclass_fields__) - {"data", "fetch"}
    data = base64.b64decode(encoded) if encoded else None
    return Output(**{name: made[name] for name in names if name in made}, data=data, fetch=fetch)
