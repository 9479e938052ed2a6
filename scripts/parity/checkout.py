"""A ComfyUI checkout, run in this process on the CPU in float32: the reference that parity is measured against."""

from __future__ import annotations

import asyncio
import importlib
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.parity import stand_ins
from scripts.parity.case_file import PARITY, Case

VERSION = "0.3.64"
MINI_FAMILIES = "comfyui_mini_families"


class CheckoutError(Exception):
    """The checkout cannot be used, or refused or failed a case; the message says where and why."""


class QuietServer:
    """The part of ComfyUI's server that its executor speaks to, with nobody listening."""

    client_id: str | None = None
    last_node_id: str | None = None

    def send_sync(self, event: str, data: object, sid: str | None = None) -> None:
        """Drop a message that would go to a browser."""


class Checkout:
    """ComfyUI imported from `path`, its folders laid out under `base`; one a process, for it lives in `sys.modules`."""

    def __init__(self, path: Path, base: Path) -> None:
        _require_checkout(path)
        _lay_out(base)
        self._execution = _import_comfyui(path, base)
        self._executor = self._execution.PromptExecutor(QuietServer())

    def run(self, case: Case) -> dict[str, object]:
        """The captured values of `case` by label. Raises CheckoutError with ComfyUI's own words.

        Nothing is kept from one case to the next: some samplers write into the sigmas that the executor caches.
        """
        self._executor.reset()
        outputs = self._outputs(case)
        self._executor.execute(case.workflow, case.name, execute_outputs=outputs)
        if not self._executor.success:
            raise CheckoutError(f"case {case.name}: {_failure(self._executor.status_messages)}")
        return {label: self._value(case, link) for label, link in case.capture.items()}

    def _outputs(self, case: Case) -> list[str]:
        accepted, error, outputs, node_errors = asyncio.run(
            self._execution.validate_prompt(case.name, case.workflow, None)
        )
        if not accepted or node_errors:
            raise CheckoutError(f"case {case.name} is refused: {error} {node_errors}")
        return list(outputs)

    def _value(self, case: Case, link: tuple[str, int]) -> object:
        node_id, index = link
        entry = self._executor.caches.outputs.get(node_id)
        if entry is None:
            raise CheckoutError(f"case {case.name}: captured node {node_id!r} did not run; no output node needs it")
        return _slots(entry)[index][0]


def _slots(entry: Any) -> Any:
    """A cached node's outputs: newer checkouts wrap them in a record."""
    return getattr(entry, "outputs", entry)


def _require_checkout(path: Path) -> None:
    version_file = path / "comfyui_version.py"
    if not version_file.is_file():
        raise CheckoutError(f"{path} is no ComfyUI checkout: {version_file.name} is missing there")
    if VERSION not in version_file.read_text():
        logging.warning("%s is not ComfyUI %s, whose values are committed", path, VERSION)


def _lay_out(base: Path) -> None:
    """Lay out ComfyUI's base directory: the mini models, the cases' inputs and the mini families."""
    (base / "custom_nodes").mkdir(parents=True)
    (base / "input").symlink_to(PARITY / "input")
    (base / "custom_nodes" / MINI_FAMILIES).symlink_to(PARITY / MINI_FAMILIES)
    make = [sys.executable, str(PARITY / "make_checkpoints.py"), "--tree", str(base / "models")]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)


def _import_comfyui(path: Path, base: Path) -> Any:
    """Import the checkout with its folders at `base` and answer its `execution` module."""
    stand_ins.install_absent()
    sys.path.append(str(path))
    arguments = importlib.import_module("comfy.cli_args").args
    arguments.cpu = True
    arguments.base_directory = str(base)
    logging.disable(logging.WARNING)
    try:
        importlib.import_module("utils.extra_config")  # before `nodes` puts comfy/, and its utils.py, first on sys.path
        execution = importlib.import_module("execution")
        asyncio.run(importlib.import_module("nodes").init_extra_nodes(init_api_nodes=False))
        importlib.import_module("comfy.utils").set_progress_bar_enabled(False)
        importlib.import_module("server").PromptServer.instance = _NobodyListens()
    except ImportError as exc:
        raise CheckoutError(f"{path} does not import: {exc}; install its requirements.txt without torchvision") from exc
    return execution


class _NobodyListens:
    """What nodes tell of themselves while they run goes to ComfyUI's server, which is not here."""

    def send_progress_text(self, text: str, node_id: str) -> None:
        """Tell nobody."""


def _failure(messages: list[tuple[str, Mapping[str, Any]]]) -> str:
    errors = [data for event, data in messages if event == "execution_error"]
    return "; ".join(f"node {e['node_id']} ({e['node_type']}): {e['exception_message']}" for e in errors)
