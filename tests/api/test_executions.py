from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

Headers = Callable[..., dict[str, str]]
Workflow = Callable[..., dict[str, Any]]


def executed(api: TestClient, headers: dict[str, str], workflow: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = api.post("/workflows/execute?wait=60", json={"workflow": workflow, **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def events_of(api: TestClient, headers: dict[str, str], job_id: str, **more: str) -> list[dict[str, Any]]:
    text = api.get(f"/workflows/{job_id}/events", headers={**headers, **more}).text
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n") if block]
    return [{**block, "data": json.loads(block["data"])} for block in blocks]


def test_a_workflow_becomes_a_picture_behind_a_link(api: TestClient, login: Headers, workflow: Workflow) -> None:
    result = executed(api, login(), workflow())
    (output,) = result["outputs"]
    picture = Image.open(io.BytesIO(api.get(output["url"]).content))
    assert (result["status"], picture.size, picture.getpixel((0, 0))) == ("completed", (16, 8), (255, 0, 0))


def test_without_wait_the_job_is_answered_as_it_stands(api: TestClient, login: Headers, workflow: Workflow) -> None:
    answer = api.post("/workflows/execute", json={"workflow": workflow(1)}, headers=login())
    job_id = answer.json()["execution_id"]
    assert (answer.status_code, answer.headers["location"]) == (200, f"/workflows/{job_id}")
    assert events_of(api, login(), job_id)[-1]["data"]["status"] == "completed"
    assert api.get(f"/workflows/{job_id}", headers=login()).json()["status"] == "completed"


def test_a_request_within_input_is_the_same_request(api: TestClient, login: Headers, workflow: Workflow) -> None:
    answer = api.post("/workflows/execute?wait=60", json={"input": {"workflow": workflow(2)}}, headers=login())
    assert answer.json()["status"] == "completed"


def test_an_idempotency_key_makes_two_calls_one_job(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = {**login(), "Idempotency-Key": "once-only"}
    first, second = (executed(api, headers, workflow(3)) for _ in range(2))
    assert first["execution_id"] == second["execution_id"] == "once-only"
    assert first["outputs"][0]["key"] == second["outputs"][0]["key"]
    other = api.post("/workflows/execute", json={"workflow": workflow(4)}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "job_id_taken")


def test_a_bad_graph_is_answered_with_its_problems(api: TestClient, login: Headers, workflow: Workflow) -> None:
    bad = workflow(**{"3": {"class_type": "KSampler", "inputs": {}}, "2": workflow()["2"] | {"inputs": {}}})
    answer = api.post("/workflows/execute?wait=60", json={"workflow": bad}, headers=login())
    assert answer.status_code == 422
    assert "2" in answer.json()["error"]["node_errors"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "input is []"),
        (b"{}", "workflow is missing"),
        (b'{"workflow": {}, "colour": 1}', "colour is no field of a request"),
    ],
    ids=["json", "shape", "missing", "unknown"],
)
def test_a_malformed_request_is_a_problem_that_names_what_is_wrong(
    api: TestClient, login: Headers, body: bytes, said: str
) -> None:
    answer = api.post("/workflows/execute", content=body, headers=login())
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert said in answer.json()["detail"]


def test_jobs_are_listed_newest_first_in_pages(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = login("lister")
    made = [executed(api, headers, workflow(number))["execution_id"] for number in range(3)]
    first = api.get("/workflows?limit=2", headers=headers).json()
    rest = api.get("/workflows", params={"cursor": first["cursor"]}, headers=headers).json()
    assert [job["execution_id"] for job in [*first["jobs"], *rest["jobs"]]] == made[::-1]


def test_events_tell_each_output_and_the_end_and_resume_behind_what_was_seen(
    api: TestClient, login: Headers, workflow: Workflow
) -> None:
    job_id = executed(api, login(), workflow(5))["execution_id"]
    told = events_of(api, login(), job_id)
    assert [event["event"] for event in told] == ["output", "status"]
    assert told[0]["data"]["kind"] == "image"
    assert events_of(api, login(), job_id, **{"Last-Event-ID": told[-1]["id"]}) == []


def test_a_look_with_wait_alone_answers_once_the_job_has_ended(
    api: TestClient, login: Headers, workflow: Workflow
) -> None:
    job_id = api.post("/workflows/execute", json={"workflow": workflow(12)}, headers=login()).json()["execution_id"]
    assert api.get(f"/workflows/{job_id}", params={"wait": 60}, headers=login()).json()["status"] == "completed"


def test_a_look_with_wait_answers_once_something_is_new(api: TestClient, login: Headers, workflow: Workflow) -> None:
    job_id = api.post("/workflows/execute", json={"workflow": workflow(11)}, headers=login()).json()["execution_id"]
    state = {"status": "pending", "revision": 0}
    while state["status"] in ("pending", "running"):
        query = {"wait": 60, "after": state["revision"]}
        seen, state = state, api.get(f"/workflows/{job_id}", params=query, headers=login()).json()
        assert state["revision"] > seen["revision"]
    assert state["status"] == "completed"


def test_a_cancelled_job_ends_cancelled(api: TestClient, login: Headers, workflow: Workflow) -> None:
    slow = {
        str(number): {"class_type": "ImageScale", "inputs": {
            "image": [str(number - 1), 0], "upscale_method": "lanczos", "width": 4000 + number % 2, "height": 3000,
            "crop": "disabled",
        }}
        for number in range(3, 40)
    }  # fmt: skip
    graph = {**workflow(6), **slow, "3": slow["3"] | {"inputs": {**slow["3"]["inputs"], "image": ["1", 0]}}}
    graph["2"] = {"class_type": "SaveImage", "inputs": {"images": ["39", 0], "filename_prefix": "a"}}
    job_id = api.post("/workflows/execute", json={"workflow": graph}, headers=login()).json()["execution_id"]
    assert api.post(f"/workflows/{job_id}/cancel", headers=login()).status_code == 200
    assert events_of(api, login(), job_id)[-1]["data"]["status"] == "cancelled"
    assert api.get(f"/workflows/{job_id}", headers=login()).json()["error"]["code"] == "cancelled"


def test_jobs_of_one_status_are_listed(api: TestClient, login: Headers, workflow: Workflow) -> None:
    headers = login("sorter")
    good = executed(api, headers, workflow())["execution_id"]
    bad = api.post("/workflows/execute?wait=60", json={"workflow": {"1": {"class_type": "None"}}}, headers=headers)
    listed = {
        status: [job["execution_id"] for job in api.get(f"/workflows?status={status}", headers=headers).json()["jobs"]]
        for status in ("completed", "failed", "running")
    }
    assert listed == {"completed": [good], "failed": [bad.json()["execution_id"]], "running": []}


def test_a_deleted_job_is_gone_with_its_files_and_its_id_is_free(
    api: TestClient, login: Headers, workflow: Workflow
) -> None:
    result = executed(api, login(), workflow(21), job_id="passing")
    assert api.delete("/workflows/passing", headers=login()).json() == {"execution_id": "passing", "deleted": 1}
    assert api.get(result["outputs"][0]["url"]).status_code == 404
    assert api.get("/workflows/passing", headers=login()).status_code == 404
    assert executed(api, login(), workflow(22), job_id="passing")["status"] == "completed"


def test_the_files_of_an_ended_job_are_removed_on_request(api: TestClient, login: Headers, workflow: Workflow) -> None:
    result = executed(api, login(), workflow(7))
    answer = api.delete(f"/workflows/{result['execution_id']}/files", headers=login())
    assert answer.json()["deleted"] == 1
    assert api.get(result["outputs"][0]["url"]).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/workflows/{id}"),
        ("GET", "/workflows/{id}/events"),
        ("POST", "/workflows/{id}/cancel"),
        ("DELETE", "/workflows/{id}/files"),
        ("DELETE", "/workflows/{id}"),
        ("GET", "/v2/desk/status/{id}"),
        ("GET", "/v2/desk/stream/{id}"),
        ("POST", "/v2/desk/cancel/{id}"),
    ],
)
def test_another_accounts_job_is_not_there(
    api: TestClient, login: Headers, workflow: Workflow, method: str, path: str
) -> None:
    job_id = executed(api, login(), workflow(8), job_id="mine")["execution_id"]
    answer = api.request(method, path.format(id=job_id), headers=login("eve"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_two_accounts_may_choose_the_same_job_id(api: TestClient, login: Headers, workflow: Workflow) -> None:
    first = executed(api, login(), workflow(9), job_id="same")
    second = executed(api, login("eve"), workflow(10), job_id="same")
    assert first["outputs"][0]["sha256"] != second["outputs"][0]["sha256"]
