"""The code of the sweeper as AWS Lambda takes it: our part, and the libraries of this Python that it needs."""

from __future__ import annotations

import hashlib
import io
import platform
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from infra.deploy.errors import DeployError

_ROOT = Path(__file__).resolve().parents[2]
_OURS = ("handlers", "runtime")
NEEDED = ("httpx", "pydantic")
"""boto3 is a part of Lambda's own Python."""
_PYTHONS = range(10, 14)
_WHEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class SweeperCode:
    """A zip file, whose key names what is in it: the same code has the same key."""

    data: bytes = field(repr=False)
    key: str
    runtime: str
    architecture: str


@cache
def pack(libraries: tuple[str, ...] = NEEDED) -> SweeperCode:
    """Pack it with `libraries`. Raises DeployError where one is not here, or on a system whose compiled ones Lambda
    could not load.
    """
    minor, machine = sys.version_info.minor, platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64") or minor not in _PYTHONS:
        raise DeployError(
            f"the sweeper's libraries are packed from this Python, 3.{minor} on {sys.platform} {machine}, and Lambda "
            "runs 3.10 to 3.13 on Linux: deploy from there (a pipeline, Docker), or set `aws: {sweeper: false}` in "
            "deploy.yaml and run `comfyui-serverless sweep --every 60` somewhere"
        )
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, path in sorted(dict([*_our_files(), *_library_files(libraries)]).items()):
            file.writestr(zipfile.ZipInfo(name, _WHEN), path.read_bytes(), zipfile.ZIP_DEFLATED)
    data = held.getvalue()
    return SweeperCode(
        data=data,
        key=f"code/sweeper-{hashlib.sha256(data).hexdigest()[:16]}.zip",
        runtime=f"python3.{minor}",
        architecture="arm64" if machine == "aarch64" else "x86_64",
    )


def _our_files() -> Iterator[tuple[str, Path]]:
    for folder in _OURS:
        for path in (_ROOT / folder).rglob("*.py"):
            yield str(path.relative_to(_ROOT)), path


def _library_files(libraries: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for name in libraries:
        if not _is_installed(name):
            raise DeployError(f"the sweeper needs the package {name}: pip install -c constraints.txt -e '.[{name}]'")
    for name in _closure(libraries):
        for file in distribution(name).files or ():
            if file.suffix in (".py", ".so", ".pem") and ".." not in file.parts:
                yield str(file), Path(str(file.locate()))


def _closure(names: tuple[str, ...]) -> set[str]:
    """The distributions that these need, extras apart."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            asked = [text for text in distribution(name).requires or () if "extra ==" not in text]
            waiting += [_name(text) for text in asked if _is_installed(_name(text))]
    return found


def _name(requirement: str) -> str:
    return re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0].lower()


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        distribution(name)
    except PackageNotFoundError:  # for another Python or system than this one
        return False
    return True
