"""The models folders of a volume: which models there are, and where each lies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from runtime.errors import InvalidRequest, ModelMissing
from runtime.models.file_identity import identity_of
from runtime.near_names import near_names as near_texts

# Kind -> folders, as ComfyUI has them (source: ComfyUI:folder_paths.py).
KINDS: Mapping[str, tuple[str, ...]] = {
    "audio_encoders": ("audio_encoders",),
    "checkpoints": ("checkpoints",),
    "clip_vision": ("clip_vision",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "diffusion_models": ("diffusion_models", "unet"),
    "embeddings": ("embeddings",),
    "gligen": ("gligen",),
    "hypernetworks": ("hypernetworks",),
    "loras": ("loras",),
    "model_patches": ("model_patches",),
    "photomaker": ("photomaker",),
    "style_models": ("style_models",),
    "text_encoders": ("text_encoders", "clip"),
    "upscale_models": ("upscale_models",),
    "vae": ("vae",),
    "vae_approx": ("vae_approx",),
}
OLD_KINDS = {"clip": "text_encoders", "unet": "diffusion_models"}

SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")

_MAX_NAME_BYTES = 255
# NUL, what parts paths and drives elsewhere, and halves of characters, which no file's name can hold.
_FORBIDDEN = re.compile("[\\0\\\\:\\ud800-\\udfff]")


class ModelFolders:
    """The folders under one or more roots; where two hold the same name, the first one counts.

    A name is a path below a kind's folder, its parts parted by `/`. A symbolic link may lead to another file below one
    of the roots, and not out of them: what it leads to otherwise is as good as absent.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)

    def names(self, kind: str) -> list[str]:
        """Every model of `kind`, sorted. Folders that do not exist are empty."""
        return sorted({name for folder in self._folders(kind) for name in self._names_below(folder)})

    def names_in(self, folder: str) -> list[str]:
        """Every model in one folder alone, of whatever kind, sorted."""
        return sorted({name for root in self._roots for name in self._names_below(root / folder)})

    def identities(self) -> dict[str, str]:
        """What changes whenever the file does, of every model, by its name; of several of one name, of all."""
        found: dict[str, str] = {}
        for kind in KINDS:
            for folder in self._folders(kind):
                for name in self._names_below(folder):
                    found[name] = f"{found.get(name, '')} {identity_of(folder / name)}"
        return found

    def path(self, kind: str, name: str) -> Path:
        """The file of a model.

        Raises InvalidRequest for a name that is no path below the folder, ModelMissing where there is no such model.
        """
        check_name(name)
        for folder in self._folders(kind):
            path = folder / name
            if path.suffix.lower() in SUFFIXES and path.is_file() and self._is_inside(path):
                return path
        raise ModelMissing(self._missing(kind, name))

    def _missing(self, kind: str, name: str) -> str:
        looked_in = " or ".join(str(folder) for folder in self._folders(kind))
        near = near_names(name, self.names(kind))
        hint = f"near names there: {', '.join(near)}" if near else "no name there is near it"
        return f"there is no model {name!r} in {looked_in}; {hint}"

    def _folders(self, kind: str) -> tuple[Path, ...]:
        kind = OLD_KINDS.get(kind, kind)
        if kind not in KINDS:
            raise InvalidRequest(f"{kind!r} is no kind of model, expected one of {', '.join(KINDS)}")
        return tuple(root / folder for root in self._roots for folder in KINDS[kind])

    def _names_below(self, folder: Path) -> Iterator[str]:
        seen: set[str] = set()
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            parent = folder / inside
            real = os.path.realpath(parent)
            if real in seen or not self._is_inside(parent):  # a link to a folder above, or out of the roots
                continue
            seen.add(real)
            for entry in _entries(parent):
                if _is_folder(entry) and not entry.name.startswith("."):
                    waiting.append(f"{inside}{entry.name}/")
                elif self._is_model(entry):
                    yield inside + entry.name

    def _is_model(self, entry: os.DirEntry[str]) -> bool:
        """A plain file with a model's suffix, or a link that leads to a file below one of the roots."""
        if not entry.name.lower().endswith(SUFFIXES) or not _is_file(entry):
            return False
        return not entry.is_symlink() or self._is_inside(Path(entry.path))

    def _is_inside(self, path: Path) -> bool:
        """Whether `path`, its links followed, is below one of the roots."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(root)) for root in self._roots)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in `folder`; nothing where it does not exist or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Without a look at the file system, but for a link, which may lead in a ring."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir(follow_symlinks=False)


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file(follow_symlinks=False)


def near_names(name: str, names: Sequence[str], count: int = 3) -> list[str]:
    """Those of `names` that somebody who wrote `name` may have meant, nearest first."""
    by_stem = {_stem(known): known for known in reversed(names)}
    return [by_stem[stem] for stem in near_texts(_stem(name), by_stem, count)]


def _stem(name: str) -> str:
    """What tells one name from another: without the suffix, which many share, and whatever the case."""
    return str(PurePosixPath(name).with_suffix("")).casefold()


def check_name(name: str) -> None:
    """Raise InvalidRequest for a name that is too long, or is no plain path downwards."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= _MAX_NAME_BYTES:
        raise InvalidRequest(f"a model's name has 1 to {_MAX_NAME_BYTES} bytes, got {str(name)[:80]!r}")
    is_downwards = all(part not in ("", ".", "..") for part in name.split("/"))
    if not is_downwards or _FORBIDDEN.search(name):
        raise InvalidRequest(f"the model's name {name!r} has to be a path inside the models folder")
