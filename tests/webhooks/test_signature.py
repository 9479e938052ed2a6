from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from runtime.errors import SettingsInvalid
from runtime.webhooks.signature import Signer

BODY = '{"type":"job.completed","data":{"text":"é"}}'.encode()


def secret(fill: str, size: int = 32) -> str:
    return "whsec_" + base64.b64encode(fill.encode() * size).decode()


def test_the_scheme_s_own_example_is_signed_as_it_says() -> None:
    # standard-webhooks/standard-webhooks: libraries' test vector
    signer = Signer.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_standard_library_verifies_it() -> None:
    headers = Signer.parse(secret("a")).headers("msg_1", int(time.time()), BODY)
    assert Webhook(secret("a")).verify(BODY, dict(headers))["data"] == {"text": "é"}


def test_a_receiver_may_hold_the_old_or_the_new_secret() -> None:
    headers = Signer.parse(f"{secret('a')}, {secret('b')}").headers("msg_1", int(time.time()), BODY)
    for known in ("a", "b"):
        assert Webhook(secret(known)).verify(BODY, dict(headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret("c")).verify(BODY, dict(headers))


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp"])
def test_whatever_is_changed_on_the_way_is_noticed(change: str) -> None:
    now = int(time.time())
    headers = dict(Signer.parse(secret("a")).headers("msg_1", now, BODY))
    headers |= {"webhook-id": "msg_2"} if change == "webhook-id" else {}
    headers |= {"webhook-timestamp": str(now + 1)} if change == "webhook-timestamp" else {}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret("a")).verify(BODY + b" " if change == "body" else BODY, headers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain-s3cret", "secret 1 does not begin with whsec_"),
        (f"{secret('a')},whsec_s3cret!", "secret 2 is no base64"),
        (secret("a", 23), "secret 1 is 23 bytes; expected whsec_ and the base64 of 24 to 64 bytes"),
        (secret("a", 65), "secret 1 is 65 bytes"),
    ],
    ids=["prefix", "base64", "short", "long"],
)
def test_what_is_no_secret_is_refused_and_not_shown(text: str, message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message) as caught:
        Signer.parse(text)
    assert "s3cret" not in caught.value.message


def test_a_signer_shows_no_secret_and_an_empty_one_cannot_sign() -> None:
    assert "aaa" not in repr(Signer.parse(secret("a")))
    assert Signer.parse(secret("a")).can_sign
    assert not Signer.parse(" , ").can_sign
