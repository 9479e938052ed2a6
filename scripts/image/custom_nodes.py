"""Puts custom nodes into a ComfyUI checkout, while an image is built; with the standard library alone.

    python -m scripts.image.custom_nodes --asked nodes.txt --comfyui /opt/comfyui

`scripts.image.asked_nodes` writes the file. Each is cloned at its commit. Their requirements are resolved together, in
one call of pip that holds PyTorch where it is: where two exclude each other, or one wants another PyTorch, pip names
both sides and the build fails. The licences that were found are listed, since the image hands them on.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

_HELD = ("torch", "numpy", "pillow", "safetensors")


class NodesFailed(Exception):
    """A package of nodes cannot be had or installed; the message names it and says why."""


def main(words: Sequence[str] | None = None) -> int:
    """Install them. Answers 1 where one cannot be."""
    parser = argparse.ArgumentParser(prog="custom_nodes", description="Install custom nodes.")
    parser.add_argument("--asked", type=Path, required=True, help="a file with lines of `URL COMMIT`")
    parser.add_argument("--comfyui", type=Path, required=True)
    arguments = parser.parse_args(words)
    try:
        asked = [line.split() for line in arguments.asked.read_text(encoding="utf-8").splitlines()]
        folders = [clone(url, commit, arguments.comfyui / "custom_nodes") for url, commit in asked]
        install(folders)
    except NodesFailed as exc:
        print(f"custom nodes: {exc}", file=sys.stderr)
        return 1
    for folder in folders:
        print(f"{folder.name}: {licence(folder)}")
    return 0


def clone(url: str, commit: str, below: Path) -> Path:
    """The repository at its commit, in a folder of its name. Raises NodesFailed."""
    name = url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    folder = below / name
    if folder.exists():
        raise NodesFailed(f"{url}: there is a {name} already; two repositories of one name cannot stand together")
    folder.mkdir(parents=True)
    git = ["git", "-C", str(folder)]
    for command in (
        [*git, "init", "-q"],
        [*git, "fetch", "-q", "--depth", "1", url, commit],
        [*git, "checkout", "-q", "--recurse-submodules", "FETCH_HEAD"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NodesFailed(f"{url} at {commit}: {done.stderr.strip()[:500]}")
    return folder


def install(folders: Sequence[Path]) -> None:
    """Install what the packages require, all together. Raises NodesFailed with pip's words."""
    required = [folder / "requirements.txt" for folder in folders if (folder / "requirements.txt").is_file()]
    if not required:
        return
    files = [word for path in required for word in ("-r", str(path))]
    held = [f"{found.name}=={found.version}" for found in distributions() if found.name.lower() in _HELD]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *held, *files], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        names = ", ".join(path.parent.name for path in required)
        sides = "; ".join(_sides(required, done.stderr)) or "pip says which"
        raise NodesFailed(f"the requirements of {names} do not go together: {sides}\n{done.stderr.strip()}")


def _sides(files: Sequence[Path], said: str) -> Iterator[str]:
    """Which package asks for what, of the distributions that pip cannot install together."""
    refused = re.search(r"Cannot install (.*) because", said)
    named = {_canonical(word) for word in re.findall(r"[A-Za-z][\w.-]*", refused.group(1))} if refused else set[str]()
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            asked = re.match(r"\s*([A-Za-z][\w.-]*)", line)
            if asked and _canonical(asked.group(1)) in named:
                yield f"{file.parent.name} asks for {line.strip()}"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(folder: Path) -> str:
    """The first line of the package's licence, or that there is none."""
    for path in sorted(folder.iterdir()):
        if path.name.lower().startswith(("licence", "license", "copying")) and path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            return next((line.strip() for line in lines if line.strip()), path.name)
    return "no licence file: its author reserves all rights"


if __name__ == "__main__":
    sys.exit(main())
