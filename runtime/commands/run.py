"""`comfyui-serverless run`: workflows from files, one after the other in one warm process."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from pathlib import Path
from typing import Any

from runtime.cancellation import CancelFlag
from runtime.commands.placing import place_outputs
from runtime.commands.progress_line import ProgressLine
from runtime.commands.report import report_lines
from runtime.env_files import read_environment
from runtime.errors import InvalidRequest, ServerlessError, SettingsInvalid, StorageUnavailable
from runtime.gpu_allocator import choose_allocator
from runtime.gpu_thread import GpuThread
from runtime.graph.embedded import Carried, is_media, workflow_in
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.settings import Settings, warn_of_unread

_EXAMPLE = Path(__file__).parents[2] / "examples" / "text_to_image.json"
_REDRAW_S = 0.1
_LONGEST_S = 86_400
_STATUS_OF_CTRL_C = 130


def main(words: Sequence[str]) -> int:
    """Run the workflows that `words` name. Answers 0 only if every job completed, 130 after Ctrl-C."""
    arguments = _parser().parse_intermixed_args(list(words))
    try:
        settings = _settings(arguments)
        overrides = dict(map(_override, arguments.set))
    except ServerlessError as exc:
        print(f"comfyui-serverless run: {exc.message}", file=sys.stderr)
        return 2
    level = settings.log_level if settings.log_level != "INFO" else "WARNING"
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    if arguments.seed is not None:
        overrides["seed"] = arguments.seed
    return _Session(arguments, settings, overrides).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="comfyui-serverless run", description="Run ComfyUI workflows here and now.")
    parser.add_argument(
        "workflow",
        nargs="*",
        type=Path,
        default=[_EXAMPLE],
        help="a workflow, or a picture that carries one; without any, the example text_to_image.json",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="the models folder (checkpoints/, vae/, ...)")
    parser.add_argument("--input", type=Path, metavar="DIR", help="the folder that LoadImage reads from")
    parser.add_argument("--output", type=Path, metavar="DIR", default=Path("output"), help="where pictures are put")
    parser.add_argument("--engine", choices=("native", "comfyui", "auto"), help="which engine runs the graph")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help='for example 6.text="a cat"'
    )
    parser.add_argument("--seed", type=int, metavar="N", help="sets every seed of the workflow")
    parser.add_argument("--json", action="store_true", help="print one result object a line, and nothing else")
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    for name, folder in (("--models", arguments.models), ("--input", arguments.input)):
        if folder is not None and not folder.is_dir():
            raise SettingsInvalid(f"{name} is {str(folder)!r}; expected a folder")
    given = {"MODELS_PATH": arguments.models, "INPUT_PATH": arguments.input, "ENGINE": arguments.engine}
    env = read_environment()
    warn_of_unread(env)
    settings = Settings.from_env({**env, **{name: str(value) for name, value in given.items() if value}})
    settings = settings.model_copy(update={"max_timeout_s": _LONGEST_S})  # who waits at the desk has Ctrl-C
    if arguments.models:  # the flag beats every variable that names the folder
        settings = settings.model_copy(update={"models_path": arguments.models})
    return settings


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidRequest(f'--set is {text!r}; expected NODE.INPUT=VALUE, for example 6.text="a cat"')
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


class _Session:
    """The workflows of one command, on one GPU thread."""

    def __init__(self, arguments: argparse.Namespace, settings: Settings, overrides: dict[str, Any]) -> None:
        self._arguments = arguments
        self._settings = settings
        self._overrides = overrides
        self._flag = CancelFlag()
        self._interrupted = False
        self._has_links = False

    def run(self) -> int:
        from runtime.build import build

        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            choose_allocator(self._settings)
            with GpuThread(lambda: build(self._settings)) as gpu:
                results = [self._run_file(gpu, path) for path in self._arguments.workflow]
        except ServerlessError as exc:
            print(f"comfyui-serverless run: {exc.message}", file=sys.stderr)
            return 2
        finally:
            signal.signal(signal.SIGINT, previous)
        if self._has_links and self._settings.bucket is None:
            print(f"links answer while this runs: {sys.argv[0]} serve")
        if self._interrupted:
            return _STATUS_OF_CTRL_C
        return 0 if all(result is not None and result.status == "completed" for result in results) else 1

    def _interrupt(self, signum: int, frame: object) -> None:
        if self._interrupted:
            signal.default_int_handler(signum, None)
        self._interrupted = True
        self._flag.set()
        print("\ncancelling; press Ctrl-C again to stop at once", file=sys.stderr)

    def _run_file(self, gpu: GpuThread, path: Path) -> JobResult | None:
        self._flag = CancelFlag()
        if self._interrupted:  # looked at after the flag is there, so that no Ctrl-C falls between
            print(f"{path.name}: not started", file=sys.stderr)
            return None
        try:
            carried = _read(path)
            request = JobRequest(
                workflow=dict(carried.workflow),
                overrides=self._overrides,
                timeout_s=_LONGEST_S,
                extra_pnginfo={"workflow": carried.editors} if carried.editors else {},
            )
        except InvalidRequest as exc:
            from runtime.results import failed_result

            result = failed_result(path.stem, exc)
        else:
            result = self._run(gpu, request, path)
        self._tell(path, result)
        return result

    def _run(self, gpu: GpuThread, request: JobRequest, path: Path) -> JobResult:
        line = ProgressLine(sys.stderr, path.name, shown=not self._arguments.json and sys.stderr.isatty())
        job = gpu.submit(request, cancel=self._flag, on_progress=line.update)
        while (result := _wait(job, _REDRAW_S)) is None:
            line.draw(time.monotonic())
        line.clear()
        return result

    def _place(self, result: JobResult) -> Mapping[str, Path]:
        from runtime.build import build_artifacts

        try:
            return place_outputs(result, build_artifacts(self._settings), self._arguments.output)
        except OSError as exc:
            raise StorageUnavailable(
                f"--output is {str(self._arguments.output)!r} and cannot be written to: {exc.strerror}; "
                "the results are in the store"
            ) from exc

    def _tell(self, path: Path, result: JobResult) -> None:
        placed = self._place(result)
        if self._arguments.json:
            print(json.dumps(_with_paths(result.to_wire(), placed)), flush=True)
            return
        for text in report_lines(path.name, result, placed):
            print(text, flush=True)
        self._has_links = self._has_links or any(output.url for output in result.outputs)


def _with_paths(wire: dict[str, Any], placed: Mapping[str, Path]) -> dict[str, Any]:
    """The result as JSON, with where each output was put."""
    outputs = [
        {**output, "path": str(placed[output["key"]])} if output.get("key") in placed else output
        for output in wire.get("outputs", ())
    ]
    return {**wire, "outputs": outputs} if outputs else wire


def _wait(job: Future[JobResult], timeout_s: float) -> JobResult | None:
    try:
        return job.result(timeout_s)
    except TimeoutError:
        return None


def _read(path: Path) -> Carried:
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise InvalidRequest(f"there is no file {path}") from exc
    except OSError as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc}") from exc
    if is_media(data):
        return workflow_in(data, str(path))
    expected = "expected a workflow's JSON, or a PNG, WebP, latent or GLB file that carries one"
    try:
        workflow = json.loads(data.decode())
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"{path} is no text; {expected}") from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"{path} is {'not JSON' if data.strip() else 'empty'}; {expected}: {exc}") from exc
    if not isinstance(workflow, dict):
        raise InvalidRequest(f"{path} holds no JSON object; {expected}")
    return Carried(workflow=_unwrapped(workflow))


def _unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """The workflow, also out of the body of ComfyUI's /prompt, of our HTTP API or of RunPod's."""
    for outer in (body.get("prompt"), body.get("workflow"), body.get("input")):
        if isinstance(outer, dict) and "class_type" not in outer:
            inner = outer.get("workflow", outer)
            return inner if isinstance(inner, dict) else body
    return body
