from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Make = Callable[..., dict[str, Any]]


def test_a_prompt_is_run_remembered_and_its_pictures_are_seen(comfy: Any, prompt: Make) -> None:
    id, _ = comfy.run(prompt())
    entry = comfy.ask(f"/history/{id}")[id]
    assert entry["status"]["status_str"] == "success"
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    (saved,) = entry["outputs"]["2"]["images"]
    (shown,) = entry["outputs"]["3"]["images"]
    assert (saved["filename"], saved["type"], shown["type"]) == ("ComfyUI_00001_.png", "output", "temp")
    assert comfy.view(saved)[:8] == comfy.view(shown)[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_history_has_the_prompt_as_it_was_posted(comfy: Any, prompt: Make) -> None:
    extra = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    id = comfy.queue(prompt(), extra_data=extra)
    comfy.until("executing", node=None, prompt_id=id)
    number, told_id, graph, told_extra, outputs = comfy.ask(f"/history/{id}")[id]["prompt"]
    assert (told_id, graph, outputs) == (id, prompt(), ["2", "3"])
    assert told_extra == {**extra, "client_id": comfy.client_id}
    assert isinstance(number, int)


def test_two_prompts_each_have_a_picture_of_the_same_name(comfy: Any, prompt: Make) -> None:
    ids = [comfy.run(prompt(color))[0] for color in (1, 2)]
    names = [comfy.ask(f"/history/{id}")[id]["outputs"]["2"]["images"][0] for id in ids]
    assert names[0]["filename"] == names[1]["filename"]
    assert comfy.view(names[0]) != comfy.view(names[1])


def test_the_clients_own_id_is_the_prompts(comfy: Any, prompt: Make) -> None:
    assert comfy.queue(prompt(), prompt_id="my-own-1") == "my-own-1"
    comfy.until("executing", node=None, prompt_id="my-own-1")
    assert list(comfy.ask("/history/my-own-1")) == ["my-own-1"]


def test_numbers_grow_and_the_front_of_the_queue_has_one_below_zero(comfy: Any, prompt: Make) -> None:
    first, second = (comfy.ask("/prompt", {"prompt": prompt()})["number"] for _ in range(2))
    assert second == first + 1
    assert comfy.ask("/prompt", {"prompt": prompt(), "front": True})["number"] < 0


@pytest.mark.parametrize("number", ["1" * 400, "-1e999", "1e300", '"first"'])
def test_a_number_that_is_none_is_not_the_prompts(address: str, prompt: Make, number: str) -> None:
    body = f'{{"prompt": {json.dumps(prompt())}, "number": {number}}}'
    accepted = httpx.post(f"{address}/prompt", content=body).json()
    assert 0 <= accepted["number"] < 1e6


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ([], "no_prompt"),
        ({"prompt": 5}, "invalid_prompt"),
        ({"prompt": {}}, "invalid_prompt"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "Nope", "inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "EmptyImage", "inputs": {}}}}, "prompt_no_outputs"),
        ({"prompt": {"2": {"class_type": "SaveImage", "inputs": {}}}}, "prompt_outputs_failed_validation"),
        ({"prompt": {"1": {}}, "prompt_id": "no id!"}, "invalid_prompt"),
        ({"prompt": {"1": {}}, "extra_data": 5}, "invalid_prompt"),
    ],
)
def test_a_prompt_that_cannot_run_is_refused_in_comfyuis_form(comfy: Any, body: Any, kind: str) -> None:
    status, answer = comfy.ask("/prompt", body)
    assert (status, answer["error"]["type"]) == (400, kind)
    assert answer["error"].keys() == {"type", "message", "details", "extra_info"}
    assert isinstance(answer["node_errors"], dict)


def test_every_problem_is_told_by_its_node(comfy: Any, prompt: Make) -> None:
    graph = prompt()
    graph["1"]["inputs"]["width"] = 0
    status, answer = comfy.ask("/prompt", {"prompt": graph})
    (error,) = answer["node_errors"]["1"]["errors"]
    assert (status, error["type"], error["extra_info"]["input_name"]) == (400, "value_smaller_than_min", "width")
    assert (answer["node_errors"]["1"]["class_type"], answer["node_errors"]["1"]["dependent_outputs"]) == (
        "EmptyImage",
        ["2", "3"],
    )


def test_an_output_that_cannot_run_is_left_out_and_told_of(comfy: Any, prompt: Make) -> None:
    graph = prompt(**{"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "b"}}})
    answer = comfy.ask("/prompt", {"prompt": graph, "client_id": comfy.client_id})
    assert list(answer["node_errors"]) == ["9"]
    comfy.until("executing", node=None, prompt_id=answer["prompt_id"])
    assert list(comfy.ask(f"/history/{answer['prompt_id']}")[answer["prompt_id"]]["outputs"]) == ["2", "3"]


def test_only_the_outputs_that_are_asked_for_run(comfy: Any, prompt: Make) -> None:
    id = comfy.queue(prompt(), partial_execution_targets=["3"])
    comfy.until("executing", node=None, prompt_id=id)
    assert list(comfy.ask(f"/history/{id}")[id]["outputs"]) == ["3"]


def test_what_waits_and_what_runs_is_in_the_queue(comfy: Any, sampling: Make, prompt: Make) -> None:
    running = comfy.queue(sampling(1000))
    comfy.until("progress", node="4")
    waiting = [comfy.queue(prompt(color)) for color in (1, 2, 3)]
    queue = comfy.ask("/queue")
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == waiting
    assert comfy.ask("/prompt") == {"exec_info": {"queue_remaining": 4}}
    comfy.ask("/queue", {"delete": waiting[:1]})
    assert [item[1] for item in comfy.ask("/queue")["queue_pending"]] == waiting[1:]
    comfy.ask("/queue", {"clear": True})
    comfy.ask("/interrupt", {})
    comfy.until("execution_interrupted", prompt_id=running)
    comfy.until("executing", node=None, prompt_id=running)
    assert comfy.ask("/queue") == {"queue_running": [], "queue_pending": []}
    assert [comfy.ask(f"/history/{id}") for id in waiting] == [{}, {}, {}]


def test_another_prompts_id_interrupts_nothing(comfy: Any, sampling: Make) -> None:
    id = comfy.queue(sampling(1000, seed=2))
    comfy.until("progress", node="4")
    comfy.ask("/interrupt", {"prompt_id": "another"})
    assert [item[1] for item in comfy.ask("/queue")["queue_running"]] == [id]
    comfy.ask("/interrupt", {"prompt_id": id})
    comfy.until("execution_interrupted", prompt_id=id)
    entry = comfy.ask(f"/history/{id}")[id]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)


def test_the_history_is_told_in_parts_and_forgotten(comfy: Any, prompt: Make) -> None:
    comfy.ask("/history", {"clear": True})
    ids = [comfy.run(prompt(color))[0] for color in (11, 12, 13)]
    assert list(comfy.ask("/history")) == ids
    assert list(comfy.ask("/history?max_items=2")) == ids[1:]
    assert list(comfy.ask("/history?max_items=1&offset=1")) == ids[1:2]
    comfy.ask("/history", {"delete": ids[:1]})
    assert list(comfy.ask("/history")) == ids[1:]
    comfy.ask("/history", {"clear": True})
    assert comfy.ask("/history") == {}


def test_a_failed_node_is_in_the_history(comfy: Any) -> None:
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "ImageCrop", "inputs": {"image": ["1", 0], "width": 4, "height": 4, "x": 9, "y": 9}},
        "3": {"class_type": "ImageScale", "inputs": {
            "image": ["2", 0], "upscale_method": "area", "width": 0, "height": 0, "crop": "disabled",
        }},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "/up"}},
    }  # fmt: skip
    id, told = comfy.run(graph)
    (error,) = [data for kind, data in told if kind == "execution_error"]
    assert error["prompt_id"] == id
    assert error["exception_message"]
    assert comfy.ask(f"/history/{id}")[id]["status"]["messages"][-1] == ["execution_error", error]


@pytest.mark.parametrize("path", ["/queue", "/history", "/interrupt"])
@pytest.mark.parametrize("body", ["x", {"delete": "x"}, {"delete": [5]}], ids=["no object", "no list", "no ids"])
def test_what_is_no_order_is_refused(comfy: Any, path: str, body: Any) -> None:
    answer = comfy.ask(path, body)
    assert answer is None if path == "/interrupt" and body != "x" else answer[0] == 400


def test_a_prompt_that_is_answered_by_an_earlier_one_is_remembered_whole(
    open_server: Callable[..., str], connect: Any, prompt: Make
) -> None:
    with connect(open_server(RESULT_CACHE_TTL_S="600")) as comfy:
        ids = [comfy.run(prompt(21))[0] for _ in range(2)]
        first, second = (comfy.ask(f"/history/{id}")[id] for id in ids)
        assert second["prompt"][2:] == first["prompt"][2:]
        pictures = [comfy.view(entry["outputs"]["2"]["images"][0]) for entry in (first, second)]
    assert pictures[0] == pictures[1]
