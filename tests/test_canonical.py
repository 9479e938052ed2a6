from __future__ import annotations

from typing import Any

import pytest

from runtime.canonical import request_sha256, sha256_of_json
from runtime.request import JobRequest

WORKFLOW = {"1": {"class_type": "Any", "inputs": {"a": 1, "b": 2}}}
IMAGE = {"name": "a.png", "image": "https://bucket/a.png?X-Amz-Signature=1"}


def hashed(**fields: Any) -> str:
    request, _ = JobRequest.parse({"workflow": WORKFLOW, **fields})
    return request_sha256(request, sha256_of_json(request.workflow))


def image(**changes: str) -> dict[str, Any]:
    return {"images": [{**IMAGE, **changes}]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"webhook": {"url": "https://a"}}),
        ({}, {"job_id": "x"}),
        ({}, {"output": {"delivery": "base64", "url_ttl_s": 5}}),
        ({}, {"workflow": {"1": {"inputs": {"b": 2, "a": 1}, "class_type": "Any"}}}),
        ({}, {"comfy_org_api_key": "k"}),
        ({}, {"timeout_s": 600}),
        ({}, {"previews": True}),
        (image(), image(image="https://bucket/a.png?X-Amz-Signature=2")),
        ({"overrides": {"a": 1, "b": 2}}, {"overrides": {"b": 2, "a": 1}}),
    ],
    ids=["webhook", "job id", "delivery", "order", "api key", "a default", "previews", "presigned query", "overrides"],
)
def test_what_may_differ_between_deliveries_of_one_job_does_not_count(one: Any, other: Any) -> None:
    assert hashed(**one) == hashed(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"workflow": {"1": {"class_type": "Any", "inputs": {"a": 1, "b": 3}}}}),
        ({}, {"overrides": {"a": 5}}),
        ({}, {"output": {"format": "webp"}}),
        ({}, {"output": {"quality": 50}}),
        ({}, {"user_id": "bob"}),
        ({}, {"engine": "native"}),
        ({}, image()),
        (image(), image(name="b.png")),
        (image(), image(image="https://bucket/b.png")),
        (image(image="AAAA"), image(image="AAAB")),
        (image(image="AA?A"), image(image="AA?B")),
        ({"overrides": {"a": 1}}, {"overrides": {"a": "1"}}),
    ],
    ids=lambda value: next(iter(value), "plain"),
)
def test_another_request_has_another_hash(one: Any, other: Any) -> None:
    assert hashed(**one) != hashed(**other)


@pytest.mark.parametrize("value", [{1: 2, "a": 3}, {"a": object()}, {"a": {1, 2}}], ids=["mixed keys", "object", "set"])
def test_what_is_no_json_cannot_be_hashed(value: Any) -> None:
    with pytest.raises(TypeError):
        sha256_of_json(value)
