from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Make = Callable[..., dict[str, Any]]


def test_node_types_are_comfyuis(comfy: Any) -> None:
    types = comfy.ask("/object_info")
    assert {"KSampler", "LoadImage", "SaveImage", "SaveImageWebsocket"} <= types.keys()
    assert comfy.ask("/api/object_info/KSampler") == {"KSampler": types["KSampler"]}
    assert comfy.ask("/object_info/Nope") == {}


def test_models_are_told_by_their_kinds(comfy: Any) -> None:
    assert "checkpoints" in comfy.ask("/models")
    assert "sd1_mini.safetensors" in comfy.ask("/models/checkpoints")
    assert comfy.ask("/models/nope")[0] == 404
    assert {"name": "loras", "folders": ["loras"]} in comfy.ask("/experiment/models")
    assert {"name": "sd1_mini.safetensors", "pathIndex": 0} in comfy.ask("/experiment/models/checkpoints")
    assert isinstance(comfy.ask("/embeddings"), list)


def test_the_machine_is_told_of(comfy: Any) -> None:
    comfy.ask("/object_info/SaveImage")  # the worker is there then
    stats = comfy.ask("/system_stats")
    assert stats["system"]["ram_total"] > stats["system"]["ram_free"] > 0
    assert [device["type"] for device in stats["devices"]] == ["cpu"]
    assert stats["system"]["argv"] == []


def test_memory_is_given_back_and_the_next_prompt_runs(comfy: Any, sampling: Make) -> None:
    comfy.run(sampling(1, seed=5))
    assert comfy.ask("/free", {"unload_models": True, "free_memory": True}) is None
    _, told = comfy.run(sampling(1, seed=5))
    (cached,) = [data["nodes"] for kind, data in told if kind == "execution_cached"]
    assert told[-2][0] == "status"
    assert "4" not in cached


def test_pictures_go_to_the_client_by_its_websocket(comfy: Any, prompt: Make) -> None:
    graph = {"1": prompt(0xFF)["1"], "9": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}}
    id = comfy.queue(graph)
    comfy.until("executing", node="9", prompt_id=id)
    comfy.frames.clear()
    comfy.until("executing", node=None, prompt_id=id)
    (frame,) = comfy.frames
    assert frame[:8] == b"\x00\x00\x00\x01\x00\x00\x00\x02"
    assert frame[8:16] == b"\x89PNG\r\n\x1a\n"
    assert comfy.ask(f"/history/{id}")[id]["prompt"][2] == json.loads(json.dumps(graph))
