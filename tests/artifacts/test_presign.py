from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from runtime.artifacts.presign import ObjectAddress, SigningKey, presign, presign_post, sign_policy

# The example in "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference.
AWS_KEY = SigningKey(
    access_key_id="AKIAIOSFODNN7EXAMPLE",
    secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region="us-east-1",
)
AWS_NOW = 1_369_353_600.0  # 2013-05-24T00:00:00Z
AWS_SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def address(key: str, *, endpoint_url: str = "https://s3.amazonaws.com", path_style: bool = False) -> ObjectAddress:
    return ObjectAddress(endpoint_url=endpoint_url, bucket="examplebucket", key=key, path_style=path_style)


def test_a_link_is_signed_as_aws_shows_it() -> None:
    url = presign(address("test.txt"), AWS_KEY, now=AWS_NOW, ttl_s=86_400, extra={})
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert url.endswith(f"&X-Amz-Signature={AWS_SIGNATURE}")


def signature_by_botocore(url: str, key: SigningKey) -> str:
    """The signature that botocore's own steps give for the rest of `url`."""
    unsigned = url.rsplit("&X-Amz-Signature=", 1)[0]
    request = AWSRequest("GET", unsigned)
    request.context["timestamp"] = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
    request.context["signing"] = {}
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    signer = botocore.auth.S3SigV4QueryAuth(credentials, "s3", key.region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


@pytest.mark.parametrize("path_style", [False, True], ids=["host", "path"])
@pytest.mark.parametrize("token", [None, "to/ken+=="], ids=["lasting", "temporary"])
@pytest.mark.parametrize("key", ["a.png", "a b/ü+雪%2F&=?#~'.png"])
def test_a_link_is_signed_as_botocore_signs_it(path_style: bool, token: str | None, key: str) -> None:
    signing = SigningKey(access_key_id="AKID", secret_access_key="s/e+cret", region="eu-west-1", session_token=token)
    place = address(key, endpoint_url="http://127.0.0.1:9000/minio/", path_style=path_style)
    extra = {"response-content-disposition": "attachment; filename=\"a b.png\"; filename*=UTF-8''%C3%BC.png"}
    url = presign(place, signing, now=1_800_000_000.5, ttl_s=60, extra=extra)
    assert url.endswith(f"&X-Amz-Signature={signature_by_botocore(url, signing)}")


def test_no_secret_is_shown() -> None:
    key = SigningKey(access_key_id="AKID", secret_access_key="hidden", region="eu-west-1", session_token="hidden")
    assert "hidden" not in repr(key)
    assert "hidden" not in presign(
        address("a"), SigningKey(**{**vars(key), "session_token": None}), now=0, ttl_s=1, extra={}
    )


def test_a_forms_policy_is_signed_as_boto3_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.us-east-1.amazonaws.com")
    session = boto3.Session(AWS_KEY.access_key_id, AWS_KEY.secret_access_key, region_name="us-east-1")
    client = session.client("s3", config=Config(signature_version="s3v4"))
    theirs = client.generate_presigned_post("examplebucket", "a.png")["fields"]
    scope = theirs["x-amz-credential"].partition("/")[2]
    assert sign_policy(theirs["policy"], AWS_KEY, scope) == theirs["x-amz-signature"]


def test_a_form_takes_that_file_alone_under_that_name() -> None:
    url, form = presign_post(
        address("a b.png"), AWS_KEY, now=AWS_NOW, ttl_s=60, fields={"Content-Type": "image/png"}, size_bytes=7
    )
    policy = json.loads(base64.b64decode(form["policy"]))
    assert url == "https://examplebucket.s3.amazonaws.com/"
    assert policy["expiration"] == "2013-05-24T00:01:00Z"
    assert ["content-length-range", 7, 7] in policy["conditions"]
    exact = {name: value for name, value in form.items() if name not in ("policy", "x-amz-signature")}
    assert [{name: value} in policy["conditions"] for name, value in exact.items()] == [True] * len(exact)
    assert (form["key"], form["Content-Type"]) == ("a b.png", "image/png")
