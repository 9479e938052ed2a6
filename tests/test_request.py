from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.request import JobRequest

WORKFLOW = {"1": {"class_type": "Any", "inputs": {}}}


def parse(strict: bool = True, **fields: Any) -> tuple[JobRequest, list[str]]:
    return JobRequest.parse({"workflow": WORKFLOW, **fields}, strict=strict)


def refused(data: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        JobRequest.parse(data)
    return caught.value.message


def test_only_a_workflow_is_required() -> None:
    request, warnings = parse()
    assert (request.workflow, request.images, request.user_id, warnings) == (WORKFLOW, (), "anonymous", [])


def test_the_whole_request_may_be_a_string_of_json() -> None:
    request, _ = JobRequest.parse(json.dumps({"workflow": WORKFLOW, "timeout_s": 5}))
    assert (request.workflow, request.timeout_s) == (WORKFLOW, 5)


def test_the_workflow_may_be_a_string_of_json() -> None:
    assert parse(workflow=json.dumps(WORKFLOW))[0].workflow == json.dumps(WORKFLOW)


def test_worker_comfyuis_pictures_and_its_null_are_taken() -> None:
    assert parse(images=None)[0].images == ()
    (image,) = parse(images=[{"name": "a.png", "image": "data:image/png;base64,AAAA"}])[0].images
    assert (image.name, image.image) == ("a.png", "data:image/png;base64,AAAA")


@pytest.mark.parametrize("name", ["comfy_org_api_key", "api_key_comfy_org"])
def test_both_names_of_the_api_key_are_taken_and_it_shows_nowhere(name: str) -> None:
    request, warnings = parse(**{name: "s3cret"})
    assert request.comfy_org_api_key is not None
    assert request.comfy_org_api_key.get_secret_value() == "s3cret"
    assert "s3cret" not in f"{request!r} {request} {request.model_dump()} {request.model_dump_json()} {warnings}"


def test_a_field_that_is_null_is_one_that_is_not_given() -> None:
    assert parse(timeout_s=None, output=None, webhook=None, job_id=None)[0] == parse()[0]


def test_an_unknown_field_is_an_error_that_names_it() -> None:
    assert refused({"workflow": WORKFLOW, "colour": 1}) == "colour is no field of a request"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prority": "low"}, "prority is no field of a request; near it: priority"),
        (
            {"images": [{"name": "a", "image": "AA", "nane": "b"}]},
            "images.0.nane is no field of a request; near it: name",
        ),
        ({"seed": 7}, 'seed is no field of a request; expected overrides, as in {"seed": 7}'),
        ({"prompt": {}}, "prompt is no field of a request; expected workflow in its place"),
    ],
    ids=["misspelt", "misspelt within", "of another API", "ComfyUI's"],
)
def test_an_unknown_field_is_told_with_the_one_that_was_meant(fields: dict[str, Any], message: str) -> None:
    assert refused({"workflow": WORKFLOW, **fields}) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": {"a.png": "AA"}}, "images; expected a list"),
        ({"images": ["AA"]}, "images.0; expected an object of name, image"),
        ({"webhook": "https://example.com"}, "webhook; expected an object of url, events"),
        ({"overrides": [1]}, "overrides is [1]; expected an object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_of_another_kind_is_told_what_is_expected(fields: dict[str, Any], message: str) -> None:
    assert refused({"workflow": WORKFLOW, **fields}) == message


def test_unknown_fields_are_warnings_where_that_is_asked() -> None:
    image = {"name": "a", "image": "AA", "type": "input"}
    request, warnings = parse(strict=False, promt=1, output={"quality": 5, "colour": 2}, images=[image])
    assert (request.output.quality, request.images[0].name) == (5, "a")
    assert warnings == [
        "images.0.type is no field of a request and was left out",
        "output.colour is no field of a request and was left out",
        "promt is no field of a request and was left out; expected workflow in its place",
    ]


def test_a_wrong_value_beside_an_unknown_field_is_still_an_error() -> None:
    with pytest.raises(InvalidRequest, match="timeout_s"):
        parse(strict=False, promt=1, timeout_s=-1)
    with pytest.raises(InvalidRequest, match="workflow is missing; prompt is no field of a request; expected workflow"):
        JobRequest.parse({"prompt": WORKFLOW}, strict=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timeout_s": 0}, "timeout_s is 0: Input should be greater than 0"),
        ({"timeout_s": 86_401}, "timeout_s is 86401: Input should be less than or equal to 86400"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
        ({"timeout_s": float("inf")}, "timeout_s is inf"),
        ({"timeout_s": "soon"}, "timeout_s is 'soon'"),
        ({"ttl_s": 59}, "ttl_s is 59"),
        ({"ttl_s": 31 * 86_400}, "ttl_s is 2678400"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"max_attempts": 11}, "max_attempts is 11"),
        ({"max_attempts": 1.5}, "max_attempts is 1.5"),
        ({"priority": "urgent"}, "priority is 'urgent': Input should be 'low', 'normal' or 'high'"),
        ({"engine": "other"}, "engine is 'other'"),
        ({"job_id": ""}, "job_id is ''"),
        ({"job_id": "a" * 65}, "job_id is 'aaa"),
        ({"job_id": "../x"}, "job_id is '../x'"),
        ({"job_id": "a\n"}, r"job_id is 'a\n'"),
        ({"user_id": "a b"}, "user_id is 'a b'"),
        ({"user_id": "a" * 129}, "user_id is 'aaa"),
        ({"output": {"format": "gif"}}, "output.format is 'gif'"),
        ({"output": {"quality": 0}}, "output.quality is 0"),
        ({"output": {"quality": 101}}, "output.quality is 101"),
        ({"output": {"delivery": "mail"}}, "output.delivery is 'mail'"),
        ({"output": {"url_ttl_s": 7 * 86_400 + 1}}, "output.url_ttl_s is 604801"),
        ({"output": {"url_ttl_s": 0}}, "output.url_ttl_s is 0"),
        ({"output": {"colour": 1}}, "output.colour is no field"),
        ({"images": [{"name": "a.png"}]}, "images.0.image is missing"),
        ({"images": [{"name": "", "image": "AA"}]}, "images.0.name is ''"),
        ({"images": [{"name": "a" * 256, "image": "AA"}]}, "images.0.name is 'aaa"),
        ({"images": [{"name": "a", "image": "AA"}] * 65}, "images: Tuple should have at most 64 items"),
        ({"webhook": {"url": "https://a", "events": ["started"]}}, "webhook.events.0"),
        ({"webhook": {"url": "x" * 2001}}, "webhook.url: String should have at most 2000"),
        ({"overrides": []}, "overrides is []"),
        ({"workflow": [1]}, "workflow is [1]; expected an object of nodes by id, or a string of its JSON"),
        ({"workflow": 5}, "workflow is 5; expected an object"),
        ({"workflow": None}, "workflow is missing"),
    ],
    ids=lambda value: None if isinstance(value, str) else json.dumps(value)[:40],
)
def test_a_field_out_of_bounds_is_named_with_its_value(fields: dict[str, Any], message: str) -> None:
    assert message in refused({"workflow": WORKFLOW, **fields})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "input is None; expected an object with a workflow"),
        ([], "input is []; expected an object"),
        (5, "input is 5"),
        ("", "input is a string that is not JSON"),
        ("{", "input is a string that is not JSON"),
        ("[" * 100_000, "input is a string that is not JSON"),
        ("null", "input is None"),
        (b"\xff\xfe\x00", "input is a string that is not JSON"),
        ({}, "workflow is missing"),
    ],
    ids=["null", "list", "number", "empty", "broken", "endless", "null text", "bytes", "empty object"],
)
def test_what_is_no_request_is_refused(data: Any, message: str) -> None:
    assert message in refused(data)


def test_every_wrong_field_is_named_at_once() -> None:
    message = refused({"workflow": WORKFLOW, "timeout_s": -1, "job_id": "?", "promt": 1})
    assert all(name in message for name in ("timeout_s", "job_id", "promt"))


@pytest.mark.parametrize(
    "fields",
    [
        {"comfy_org_api_key": ["s3cret"]},
        {"api_key_comfy_org": {"key": "s3cret"}},
        {"webhook": "https://hooks/s3cret"},
        {"webhook": {"url": ["https://hooks/s3cret"]}},
        {"images": [{"name": "a", "image": ["https://bucket?X-Amz-Signature=s3cret"]}]},
        {"images": ["https://bucket?X-Amz-Signature=s3cret"]},
        {"images": "https://bucket?X-Amz-Signature=s3cret"},
    ],
    ids=["key", "other name", "webhook", "webhook address", "address", "entry", "images"],
)
def test_what_may_be_secret_is_in_no_message(fields: dict[str, Any]) -> None:
    message = refused({"workflow": WORKFLOW, **fields})
    assert next(iter(fields)).removeprefix("api_")[:5] in message or "comfy_org_api_key" in message
    assert "s3cret" not in message


def test_a_message_about_megabytes_is_short() -> None:
    assert len(refused({"workflow": WORKFLOW, "priority": "x" * 5_000_000})) < 400
    assert len(refused({"workflow": WORKFLOW, **{f"unknown{n}": 1 for n in range(10_000)}})) < 1_000
    assert len(refused({"workflow": WORKFLOW, "x" * 1_000_000: 1})) < 400


@pytest.mark.parametrize("field", ["job_id", "user_id", "engine"])
def test_half_a_character_is_refused_with_a_message_that_is_utf_8(field: str) -> None:
    assert refused({"workflow": WORKFLOW, field: "\ud800"}).encode()


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse()[0].timeout_s = 5


@pytest.mark.parametrize("name", ["", "a\0b", "\u4e2d", "a" * 80, " a", "a ", "\ud800"], ids=ascii)
def test_what_pictures_carry_needs_a_name_that_a_png_takes(name: str) -> None:
    assert "extra_pnginfo" in refused({"workflow": WORKFLOW, "extra_pnginfo": {name: 1}})


def test_pictures_carry_a_bounded_number_of_things() -> None:
    assert "at most 64 items" in refused({"workflow": WORKFLOW, "extra_pnginfo": {f"a{n}": 1 for n in range(65)}})


def test_a_value_nested_without_end_is_refused_like_another() -> None:
    nested: list[Any] = []
    for _ in range(20_000):
        nested = [nested]
    assert "user_id is [[[" in refused({"workflow": WORKFLOW, "user_id": nested})


def test_a_field_whose_name_is_no_text_is_refused_without_a_look_at_the_others() -> None:
    message = refused({"workflow": WORKFLOW, "comfy_org_api_key": "s3cret", "\ud800": 1})
    assert message.startswith("input: ")
    assert "s3cret" not in message
