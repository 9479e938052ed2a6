"""ComfyUI workflows as serverless endpoints: the client side.

    from comfyui_serverless import Client

    with Client.from_env() as client:
        job = client.submit("portrait.json", {"Positive Prompt.text": "a cat", "seed": 7})
        job.result().images[0].save("cat.png")

Nothing is imported before it is used: the command has verbs that need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfyui_serverless.aio import AsyncClient, AsyncJob
    from comfyui_serverless.client import Client, Job
    from comfyui_serverless.outputs import Output, Result
    from comfyui_serverless.states import JobState, Progress

__all__ = ["AsyncClient", "AsyncJob", "Client", "Job", "JobState", "Output", "Progress", "Result"]

_WHERE = {
    "AsyncClient": "aio",
    "AsyncJob": "aio",
    "Client": "client",
    "Job": "client",
    "JobState": "states",
    "Output": "outputs",
    "Progress": "states",
    "Result": "outputs",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
