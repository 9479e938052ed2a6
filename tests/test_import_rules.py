"""Which part may import which, read from the sources and from what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMFYUIS_OWN = frozenset(
    {
        "api_server", "app", "comfy", "comfy_api", "comfy_api_nodes", "comfy_execution", "comfy_extras", "cuda_malloc",
        "execution", "folder_paths", "latent_preview", "main", "middleware", "node_helpers", "nodes", "protocol",
        "server", "tests", "utils",
    }
)  # fmt: skip
"""The top-level names of ComfyUI's checkout, which share `sys.path` with ours in one process."""
HEAVY = ("torch", "numpy", "PIL", "boto3", "botocore", "runpod")
FETCHERS_AND_STORES = (
    "aws",
    "fetch/s3",
    "artifacts/s3",
    "artifacts/presign",
    "models/sync/s3",
    "dynamo_table",
    "queue/sqs",
    "aws_parameters",
    "jobs/table",
)


def sources(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere but for the type checker alone."""
    tree = ast.parse(path.read_text())
    return {name for node in _executed(tree) for name in _names(node)}


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _executed(node)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def loaded_by(module: str) -> set[str]:
    """The top-level modules that are there once `module` is imported in a fresh process."""
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources("runtime"), ids=named)
def test_the_runtime_knows_no_handler_client_or_platform(path: Path) -> None:
    knows = {"modal"} if named(path) == "runtime/api/dispatch/modal.py" else set()
    assert top(imported(path)).isdisjoint({"handlers", "comfyui_serverless", "runpod", "modal"} - knows)


@pytest.mark.parametrize("path", sources("runtime"), ids=named)
def test_boto3_is_imported_by_the_backends_alone(path: Path) -> None:
    if path.relative_to(ROOT / "runtime").with_suffix("").as_posix() not in FETCHERS_AND_STORES:
        assert top(imported(path)).isdisjoint({"boto3", "botocore"})


@pytest.mark.parametrize("path", sources("runtime") + sources("handlers") + sources("sdk"), ids=named)
def test_comfyuis_modules_are_imported_under_its_engine_alone(path: Path) -> None:
    if "comfyui" not in path.parts:
        assert top(imported(path)).isdisjoint(COMFYUIS_OWN)


@pytest.mark.parametrize("path", sources("sdk"), ids=named)
def test_the_client_imports_neither_runtime_nor_torch(path: Path) -> None:
    assert top(imported(path)).isdisjoint({"runtime", "handlers", *HEAVY} - {"PIL"})  # which `Output.pil` is about


@pytest.mark.parametrize("path", sources("runtime/diffusion"), ids=named)
def test_the_numerics_know_no_node_job_or_graph(path: Path) -> None:
    allowed = {"runtime.diffusion", "runtime.errors", "runtime.models", "runtime.cancellation"}
    for name in imported(path):
        if name.startswith("runtime"):
            assert ".".join(name.split(".")[:2]) in allowed


@pytest.mark.parametrize("path", sources("handlers"), ids=named)
def test_a_handler_stays_under_80_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 80


def test_no_top_level_name_of_ours_is_one_of_comfyuis() -> None:
    ours = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))} - {"tests"}
    assert ours.isdisjoint(COMFYUIS_OWN)
    assert not (ROOT / "tests" / "__init__.py").exists()


@pytest.mark.parametrize(
    "module",
    [
        "runtime.worker",
        "runtime.build",
        "runtime.commands.run",
        "runtime.gpu_thread",
        "handlers.sqs_worker",
        "comfyui_serverless.command",
        "comfyui_serverless.client",
    ],
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module).isdisjoint(HEAVY)
