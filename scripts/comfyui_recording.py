"""Record of a ComfyUI checkout what the comfyui engine builds on: signatures, the order of events, top-level names.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.comfyui_recording > tests/engines/comfyui/recorded.json

Runs in the interpreter that has ComfyUI's requirements, from the repository's root.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIGNATURES = (
    "comfy.utils:load_torch_file",
    "comfy.utils:set_progress_bar_global_hook",
    "comfy.utils:ProgressBar.__init__",
    "comfy.utils:ProgressBar.update_absolute",
    "comfy.model_management:throw_exception_if_processing_interrupted",
    "comfy.model_management:unload_all_models",
    "comfy.model_management:soft_empty_cache",
    "comfy.model_management:get_total_memory",
    "comfy_execution.caching:CacheKeySetInputSignature.get_node_signature",
    "comfy_execution.caching:CacheKeySetInputSignature.get_immediate_node_signature",
    "comfy_execution.caching:CacheKeySetInputSignature.get_data_key",
    "comfy_execution.graph:DynamicPrompt.get_node",
    "comfy_execution.graph:DynamicPrompt.get_parent_node_id",
    "execution:PromptExecutor.__init__",
    "execution:PromptExecutor.execute_async",
    "execution:PromptExecutor.handle_execution_error",
    "execution:validate_prompt",
    "latent_preview:preview_to_image",
    "latent_preview:LatentPreviewer.decode_latent_to_preview_image",
    "nodes:init_extra_nodes",
    "nodes:SaveImage.save_images",
    "server:PromptServer.__init__",
    "server:PromptServer.send_sync",
)
GRAPH: Mapping[str, Any] = {
    "image": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "invert": {"class_type": "ImageInvert", "inputs": {"image": ["image", 0]}},
    "show": {"class_type": "PreviewImage", "inputs": {"images": ["invert", 0]}},
}


def signatures() -> dict[str, list[str]]:
    """The names of the parameters of what the engine calls or replaces, of the checkout that is imported."""
    found = {name: _found(name) for name in SIGNATURES}
    return {name: [*inspect.signature(function).parameters] for name, function in found.items() if function is not None}


def _found(name: str) -> Any:
    """The function of that name; None where this release has none."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def top_level_names(checkout: Path) -> list[str]:
    """What `import` finds with the checkout, and its folder `comfy`, on `sys.path`."""
    entries = [entry for folder in (checkout, checkout / "comfy") for entry in folder.iterdir()]
    files = {entry.stem for entry in entries if entry.suffix == ".py"}
    packages = {entry.name for entry in entries if entry.is_dir() and any(entry.glob("*.py"))}
    return sorted((files | packages) - {"__init__"})


def main() -> int:
    """Print the recording of the checkout at COMFYUI_PATH."""
    from runtime.engines.comfyui.engine import ComfyEngine, ComfyOptions
    from runtime.engines.comfyui.placement import Placement
    from scripts.parity import stand_ins

    stand_ins.install_absent()
    checkout = Path(os.environ["COMFYUI_PATH"])
    options = ComfyOptions(
        checkout=checkout,
        models=Path(tempfile.mkdtemp()),
        placement=Placement(device="cpu"),
        loads_api_nodes=False,
    )
    engine = ComfyEngine(options)
    recording = {"release": engine.boot()["release"], "events": events(engine), "signatures": signatures()}
    json.dump({**recording, "top_level_names": top_level_names(checkout)}, sys.stdout, indent=2)
    engine.close()
    return 0


def events(engine: Any) -> list[str]:
    """The events that the executor sends for GRAPH, each with its node, in a first job and in a second one."""
    from runtime.cancellation import CancelFlag
    from runtime.engines.protocol import Run
    from runtime.graph.workflow import parse_workflow
    from runtime.progress import ignore_progress
    from runtime.workspace import Workspace

    heard: list[str] = []
    engine.tap = lambda event, data: heard.append(f"{event} {data.get('node') or ''}".strip())
    for _ in range(2):
        with Workspace() as workspace:
            run = Run(
                job_id="recording",
                tenant="recording",
                files=workspace,
                sink=_Nowhere(),
                flag=CancelFlag(),
                on_progress=ignore_progress,
            )
            engine.execute(engine.check(parse_workflow(GRAPH), workspace), run)
    engine.tap = None
    return heard


class _Nowhere:
    def picture(self, picture: object) -> str:
        return "picture.png"

    def file(self, output: object) -> str:
        return "file"


if __name__ == "__main__":
    sys.exit(main())
