from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[..., dict[str, Any]]


def kinds(messages: list[tuple[str, Any]]) -> list[str]:
    """The kinds of messages in their order, each run of the same once."""
    return [kind for place, (kind, _) in enumerate(messages) if place == 0 or messages[place - 1][0] != kind]


def test_a_client_is_told_who_it_is_and_how_much_waits(comfy: Any) -> None:
    kind, data = comfy.receive()
    assert (kind, data["sid"]) == ("status", comfy.client_id)
    assert data["status"]["exec_info"]["queue_remaining"] == 0


def test_a_prompt_is_told_from_its_start_to_its_end(comfy: Any, sampling: Make) -> None:
    id, told = comfy.run(sampling(6))
    mine = [(kind, data) for kind, data in told if data.get("prompt_id") == id]
    order = [kind for kind in kinds(mine) if not kind.startswith("progress")]
    assert order[0] == "execution_start"
    assert order[-3:] == ["executed", "execution_success", "executing"]
    assert order.index("execution_cached") < order.index("executed")
    steps = [data["value"] for kind, data in mine if kind == "progress"]
    assert steps == sorted(steps)
    assert {data["max"] for kind, data in mine if kind == "progress"} == {6}
    states = [data["nodes"] for kind, data in mine if kind == "progress_state"][-1]
    assert {node["state"] for node in states.values()} == {"finished"}


def test_what_a_node_saved_is_told_as_in_the_history(comfy: Any, prompt: Make) -> None:
    id, told = comfy.run(prompt())
    outputs = {data["node"]: data["output"] for kind, data in told if kind == "executed"}
    assert outputs == comfy.ask(f"/history/{id}")[id]["outputs"]


def test_nodes_that_did_not_run_again_are_named(comfy: Any, prompt: Make) -> None:
    comfy.run(prompt(77))
    _, told = comfy.run(prompt(77))
    (cached,) = [data["nodes"] for kind, data in told if kind == "execution_cached"]
    assert "1" in cached


def test_the_queues_length_is_told_to_every_client(comfy: Any, connect: Any, address: str, prompt: Make) -> None:
    with connect(address) as other:
        other.receive()
        comfy.run(prompt(78))
        lengths = [other.receive()[1]["status"]["exec_info"]["queue_remaining"] for _ in range(2)]
    assert lengths == [1, 0]


def test_another_clients_prompt_is_not_told_of(comfy: Any, connect: Any, address: str, prompt: Make) -> None:
    with connect(address) as other:
        id, _ = comfy.run(prompt(79))
        own, told = other.run(prompt(80))
    assert id not in {data.get("prompt_id") for _, data in told}
    assert own in {data.get("prompt_id") for _, data in told}


def test_a_client_that_comes_back_hears_the_rest(comfy: Any, connect: Any, address: str, sampling: Make) -> None:
    id = comfy.queue(sampling(1000, seed=3))
    comfy.until("progress", node="4")
    comfy.socket.close()
    with connect(address, client_id=comfy.client_id) as again:
        again.until("progress", node="4", prompt_id=id)
        again.ask("/interrupt", {})
        again.until("execution_interrupted", prompt_id=id)


def test_features_are_exchanged(comfy: Any) -> None:
    comfy.socket.send('{"type": "feature_flags", "data": {"supports_preview_metadata": true}}')
    features = comfy.until("feature_flags")[-1][1]
    assert features == comfy.ask("/features")


def test_a_client_sees_previews_while_its_sampler_runs(comfy: Any, sampling: Make) -> None:
    id = comfy.queue(sampling(1000, seed=4))
    comfy.until("progress", node="4")
    while not comfy.frames:
        comfy.receive()
    comfy.ask("/interrupt", {})
    comfy.until("executing", node=None, prompt_id=id)
    assert comfy.frames[0][:8] == b"\x00\x00\x00\x01\x00\x00\x00\x01"
    assert comfy.frames[0][8:11] == b"\xff\xd8\xff"


def test_what_a_client_should_not_say_is_passed_over(comfy: Any, prompt: Make) -> None:
    for said in ("", "[]", "{", '{"type": "feature_flags", "data": 5}', '{"type": 5}'):
        comfy.socket.send(said)
    comfy.socket.send_binary(b"\x00")
    comfy.run(prompt(81))
