"""Everything that is known here of ComfyUI's inside: each assumption once, found by looking at the checkout.

Releases from 0.3.27 on are told apart by signatures, never by their number. tests/engines/comfyui/test_drift.py holds a
checkout against each of the functions below and names the one that broke.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from PIL.Image import Image

PINNED_RELEASE = "0.3.64"
"""The release that the image installs and the tests were recorded from."""

JOB_FOLDERS = ("input", "output", "temp")
CLIENT_ID = "comfyui-serverless"
"""Without a client the executor tells of no node that it starts."""


def require_checkout(path: Path) -> str:
    """The release of the checkout at `path`. Raises SettingsInvalid where there is none."""
    missing = [name for name in ("nodes.py", "execution.py", "server.py", "comfy") if not (path / name).exists()]
    if missing:
        raise SettingsInvalid(f"COMFYUI_PATH is {str(path)!r}, which is no ComfyUI checkout: it has no {missing[0]}")
    version = path / "comfyui_version.py"
    text = version.read_text() if version.is_file() else ""
    return text.partition('__version__ = "')[2].partition('"')[0] or "unknown"


def import_from(path: Path, name: str) -> ModuleType:
    """The checkout's module `name`. Raises SettingsInvalid where another package's of that name comes first."""
    module = importlib.import_module(name)
    origin = Path(getattr(module, "__file__", None) or next(iter(module.__path__)))
    if not origin.resolve().is_relative_to(path.resolve()):
        raise SettingsInvalid(f"ComfyUI's module {name!r} is hidden by another one of that name, {origin}")
    return module


def parse_arguments(path: Path, wanted: Sequence[str]) -> Any:
    """ComfyUI's arguments from `wanted`, and never from the process's own; one that it does not know is left out."""
    options = import_from(path, "comfy.options")
    known = import_from(path, "comfy.cli_args").parser._option_string_actions
    kept = [word for group in _by_option(wanted) if group[0] in known for word in group]
    own_argv = sys.argv
    sys.argv = ["main.py", *kept]
    del sys.modules["comfy.cli_args"]
    options.enable_args_parsing()
    try:
        return import_from(path, "comfy.cli_args").args
    except SystemExit as exc:
        raise SettingsInvalid(f"COMFYUI_ARGS has {' '.join(kept)!r}, which ComfyUI does not take") from exc
    finally:
        options.enable_args_parsing(False)
        sys.argv = own_argv


def _by_option(words: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not groups:
            groups.append([])
        groups[-1].append(word)
    return groups


def environment(arguments: Any) -> dict[str, str]:
    """What ComfyUI's start tells libraries by the environment, where nobody has told them otherwise."""
    told = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    return {**told, **({"CUBLAS_WORKSPACE_CONFIG": ":4096:8"} if getattr(arguments, "deterministic", False) else {})}


def point_folders(folder_paths: Any, *, jobs: Path, user: Path, custom_nodes: Sequence[Path], checkout: Path) -> None:
    """Send what jobs read and write to `jobs`, and look for models and custom nodes in the checkout's folders too.

    Every kind of model that the checkout knows lies below its base directory, which is set before it is imported.
    """
    for name in JOB_FOLDERS:
        getattr(folder_paths, f"set_{name}_directory")(str(jobs / name))
    if hasattr(folder_paths, "set_user_directory"):
        folder_paths.set_user_directory(str(user))
    base = Path(folder_paths.models_dir)
    for kind, (folders, *_) in folder_paths.folder_names_and_paths.items():
        if kind != "custom_nodes":
            inside = [Path(folder).relative_to(base) for folder in folders if Path(folder).is_relative_to(base)]
            folders += [str(own) for part in inside if (own := checkout / "models" / part).is_dir()]
    known = folder_paths.folder_names_and_paths["custom_nodes"][0]
    known[:] = [*map(str, custom_nodes)]


def model_paths(folder_paths: Any, name: str) -> list[Path]:
    """The files of that name in the folders of any kind of model."""
    kinds = {kind: folders for kind, (folders, *_) in folder_paths.folder_names_and_paths.items()}
    folders = dict.fromkeys(folder for kind, known in kinds.items() if kind != "custom_nodes" for folder in known)
    return [Path(path) for folder in folders if os.path.isfile(path := os.path.join(folder, name))]


def init_nodes(nodes: Any, *, api_nodes: bool) -> Awaitable[Any] | Any:
    """Load extra, API and custom nodes; something to wait for where the checkout does that asynchronously."""
    takes = inspect.signature(nodes.init_extra_nodes).parameters
    return nodes.init_extra_nodes(**({"init_api_nodes": api_nodes} if "init_api_nodes" in takes else {}))


def watch_node_imports(nodes: Any, watched: Callable[[str], Any]) -> None:
    """Have the loading of every node package pass through the context manager `watched(path)`, given its success."""
    original = nodes.load_custom_node

    async def later(module_path: str, *args: Any, **kwargs: Any) -> Any:
        with watched(module_path) as report:
            report(succeeded := await original(module_path, *args, **kwargs))
        return succeeded

    def at_once(module_path: str, *args: Any, **kwargs: Any) -> Any:
        with watched(module_path) as report:
            report(succeeded := original(module_path, *args, **kwargs))
        return succeeded

    nodes.load_custom_node = later if inspect.iscoroutinefunction(original) else at_once


def validate(execution: Any, prompt_id: str, prompt: Mapping[str, Any]) -> Any:
    """ComfyUI's (accepted, error, good outputs, node_errors), or something to wait for that gives them."""
    takes = inspect.signature(execution.validate_prompt).parameters
    given = {"prompt_id": prompt_id, "prompt": prompt, "partial_execution_list": None}
    return execution.validate_prompt(**{name: given[name] for name in takes if name in given})


def new_executor(
    execution: Any, server: Any, *, cache_nodes: int, failed: Callable[[Mapping[str, Any], BaseException], None]
) -> Any:
    """ComfyUI's executor with its cache of the `cache_nodes` results used last; `failed` hears why a node failed."""
    own: Any = execution.PromptExecutor

    def handle_execution_error(
        self: Any, prompt_id: Any, prompt: Any, current_outputs: Any, executed: Any, error: Any, ex: Any
    ) -> None:
        failed(error, ex)
        own.handle_execution_error(self, prompt_id, prompt, current_outputs, executed, error, ex)

    cls = type("Executor", (own,), {"handle_execution_error": handle_execution_error})
    return cls(server, **_cache_arguments(execution, cache_nodes))


def _cache_arguments(execution: Any, cache_nodes: int) -> dict[str, Any]:
    takes = inspect.signature(execution.PromptExecutor).parameters
    if "lru_size" in takes:
        return {"lru_size": cache_nodes}
    lru = execution.CacheType.LRU
    if "cache_args" in takes:
        return {"cache_type": lru, "cache_args": {"lru": cache_nodes, "ram": 0.0, "ram_inactive": 0.0}}
    return {"cache_type": lru, "cache_size": cache_nodes}


def run_prompt(
    executor: Any, prompt: Mapping[str, Any], prompt_id: str, extra_data: Mapping[str, Any], outputs: Sequence[str]
) -> Any:
    """Execute a validated prompt; something to wait for where the checkout does that asynchronously."""
    execute = executor.execute_async if hasattr(executor, "execute_async") else executor.execute
    return execute(prompt, prompt_id, {**extra_data, "client_id": CLIENT_ID}, outputs)


def use_key_sets(execution: Any, wrapped: Callable[[Any], type]) -> None:
    """Have the executor's caches name nodes by `wrapped(ComfyUI's own key set)`."""
    execution.CacheKeySetInputSignature = wrapped(execution.CacheKeySetInputSignature)


def results_of(executor: Any) -> list[tuple[MutableMapping[Any, Any], MutableMapping[Any, int]]]:
    """Of each cache of node results: the results by key, and when each was last used."""
    caches = [executor.caches.outputs, getattr(executor.caches, "ui", None)]
    return [(cache.cache, cache.used_generation) for cache in caches if cache is not None]


def key_of(executor: Any, node_id: str) -> Any:
    """The key of a node of the last job."""
    return executor.caches.outputs.cache_key_set.get_data_key(node_id)


def with_dependents(executor: Any, node_ids: Iterable[str]) -> set[str]:
    """`node_ids` of the last job, the nodes whose expansions they came of, and every node that any of these feeds."""
    dynprompt = executor.caches.outputs.dynprompt
    fed: dict[str, list[str]] = {}
    for id in dynprompt.all_node_ids():
        for value in dynprompt.get_node(id)["inputs"].values():
            if isinstance(value, list) and len(value) == 2:
                fed.setdefault(value[0], []).append(id)
    found, stack = set[str](), list(node_ids)
    while stack:
        id = stack.pop()
        if id not in found:
            found.add(id)
            parent = dynprompt.get_parent_node_id(id)
            stack += [*fed.get(id, ()), *([parent] if parent is not None else [])]
    return found


def tensors_of(entry: Any) -> Any:
    """The values that a kept result holds."""
    return getattr(entry, "outputs", entry)


def forget_objects(executor: Any) -> None:
    """Drop the node objects that the executor keeps from job to job."""
    waiting = [executor.caches.objects]
    while waiting:
        cache = waiting.pop()
        cache.cache.clear()
        waiting += cache.subcaches.values()


def hook_loading(utils: Any, read: Callable[[Path, Any], tuple[dict[str, Any], Mapping[str, str]]]) -> None:
    """Have `read(path, device)`, which gives tensors and metadata, load the safetensors files that ComfyUI loads."""
    original = utils.load_torch_file

    @functools.wraps(original)
    def load_torch_file(
        ckpt: Any, safe_load: bool = False, device: Any = None, return_metadata: bool = False, **others: Any
    ) -> Any:
        if not str(ckpt).lower().endswith((".safetensors", ".sft")):
            further = {"return_metadata": True} if return_metadata else {}
            return original(ckpt, safe_load=safe_load, device=device, **further, **others)
        tensors, metadata = read(Path(ckpt), device)
        return (tensors, dict(metadata)) if return_metadata else tensors

    utils.load_torch_file = load_torch_file


def quieten_progress_state(execution: Any) -> None:
    """Leave out the message on every node's state that goes out with every change: its cost grows with the square."""
    if not hasattr(execution, "WebUIProgressHandler"):
        return
    handler: Any = importlib.import_module("comfy_execution.progress").ProgressHandler
    execution.WebUIProgressHandler = lambda server: handler("webui")


def hook_progress(utils: Any, hook: Callable[[float, float, Any, str | None], None]) -> None:
    """Call `hook(value, total, preview, node_id)` with every step that a node reports."""

    def report(value: float, total: float, preview: Any = None, **known: Any) -> None:
        hook(value, total, preview, known.get("node_id"))

    utils.set_progress_bar_global_hook(report)


def hook_previews(latent_preview: Any, is_due: Callable[[], bool]) -> None:
    """Have samplers make a preview picture only where one `is_due`, and of values that are there.

    ComfyUI copies them from a GPU without waiting for it, since its server looks at them later than its sampler.
    """
    previewer, to_image = latent_preview.LatentPreviewer, latent_preview.preview_to_image
    decode = previewer.decode_latent_to_preview_image

    @functools.wraps(to_image)
    def preview_to_image(latent_image: Any, *others: Any, **known: Any) -> Any:
        return to_image(latent_image.cpu(), *others, **known)

    @functools.wraps(decode)
    def decode_latent_to_preview_image(self: Any, preview_format: Any, x0: Any) -> Any:
        return decode(self, preview_format, x0) if is_due() else None

    latent_preview.preview_to_image = preview_to_image
    previewer.decode_latent_to_preview_image = decode_latent_to_preview_image


def previews_method(arguments: Any) -> Any:
    """How previews are made where they are asked for: as the arguments say, else by a matrix from latent to colours."""
    methods = type(arguments.preview_method)
    is_chosen = arguments.preview_method is not methods.NoPreviews
    return arguments.preview_method if is_chosen else methods.Latent2RGB


def set_previews(arguments: Any, method: Any | None) -> dict[str, str]:
    """Have samplers make previews by `method`; None: make none. The answer is the prompt's extra data of that.

    Releases of late 2025 and after take the method from there, as each prompt starts.
    """
    arguments.preview_method = method or type(arguments.preview_method).NoPreviews
    return {"preview_method": arguments.preview_method.value}


def preview_image(preview: Any) -> Image | None:
    """The picture that a node reports with a step: (format, picture, longest side); None for what is no such thing."""
    from PIL.Image import Image as PillowImage

    picture = preview[1] if isinstance(preview, tuple) and len(preview) == 3 else None
    return picture if isinstance(picture, PillowImage) else None


def hook_interruption(management: Any, check: Callable[[], None]) -> None:
    """Have ComfyUI's own looks at its interrupt flag make `check` too, which raises to end the job.

    The executor clears ComfyUI's flag when it starts, so a cancel that came before would be lost with that alone.
    """
    original = management.throw_exception_if_processing_interrupted

    @functools.wraps(original)
    def look() -> None:
        check()
        original()

    management.throw_exception_if_processing_interrupted = look


def interruption(management: Any, reason: str) -> BaseException:
    """What ComfyUI's executor takes for an interruption and not for a failure."""
    exception: BaseException = management.InterruptProcessingException(reason)
    return exception


def running_node(server: Any) -> str | None:
    """The node whose function runs now."""
    try:
        context = importlib.import_module("comfy_execution.utils").get_executing_context()
    except ImportError:
        context = None
    node_id = context.node_id if context is not None else server.last_node_id
    return None if node_id is None else str(node_id)


def recompute_import_decisions(management: Any) -> None:
    """Set what further modules decided from the device while they were imported."""
    attention: Any = sys.modules.get("comfy.ldm.modules.attention")
    if attention is None:
        return
    if hasattr(attention, "SDP_BATCH_LIMIT"):  # above it, CUDA's kernels fail
        attention.SDP_BATCH_LIMIT = 2**15 if management.is_nvidia() else 2**31
    if hasattr(attention, "FORCE_UPCAST_ATTENTION_DTYPE"):
        attention.FORCE_UPCAST_ATTENTION_DTYPE = management.force_upcast_attention_dtype()


def free_memory(management: Any) -> None:
    """Unload every model and give cached memory back to the device."""
    management.unload_all_models()
    management.cleanup_models_gc()
    management.soft_empty_cache()


def quiet_server(server_module: Any, loop: Any, listener: Callable[[Any, Any], None]) -> Any:
    """The server object that custom nodes register routes on; it binds no port.

    What it would send to a browser goes to `listener(event, data)`.
    """

    def send_sync(self: Any, event: Any, data: Any, sid: Any = None) -> None:
        listener(event, data)

    return type("QuietServer", (server_module.PromptServer,), {"send_sync": send_sync})(loop)


def object_info(server: Any) -> Awaitable[Any]:
    """Something to wait for that gives what the server's own `/object_info` answers: a web response of JSON."""
    route = next(route for route in server.routes if getattr(route, "path", None) == "/object_info")
    answer: Awaitable[Any] = route.handler(None)
    return answer
