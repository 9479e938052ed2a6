from __future__ import annotations

import pytest

from runtime.errors import InvalidRequest
from runtime.fetch.access import WebAccess
from runtime.jobs.record import WebhookTarget
from runtime.request import JobRequest
from runtime.webhooks.signature import Signer
from runtime.webhooks.target import target_of

SIGNER = Signer(secrets=(b"n" * 24,))


def target(url: str, *, signer: Signer = SIGNER, allow_private: bool = False) -> WebhookTarget | None:
    request, _ = JobRequest.parse({"workflow": {}, "webhook": {"url": url}, "output": {"url_ttl_s": 60}})
    return target_of(request, WebAccess(allow_private=allow_private), signer)


def test_a_request_s_webhook_is_kept_with_how_long_its_links_last() -> None:
    expected = WebhookTarget(url="https://a.example/hook", events=("completed", "failed"), url_ttl_s=60)
    assert target("https://a.example/hook") == expected


def test_a_request_without_one_tells_nobody() -> None:
    request, _ = JobRequest.parse({"workflow": {}})
    assert target_of(request, WebAccess(), Signer(secrets=())) is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://a.example/?s3cret", "scheme is 'http', expected https"),
        ("ftp://a.example/?s3cret", "scheme is 'ftp'"),
        ("https://127.0.0.1/?s3cret", "'127.0.0.1' is not on the public internet"),
        ("https://[::ffff:10.0.0.1]/?s3cret", "is not on the public internet"),
        ("https://169.254.169.254/latest?s3cret", "'169.254.169.254' is not on the public internet"),
        ("https://user:s3cret@a.example/", "holds a user name or password"),
        ("no url", "white space"),
    ],
)
def test_an_address_that_would_not_be_called_is_refused_at_once(url: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"webhook.url: .*{message}") as caught:
        target(url)
    assert "s3cret" not in caught.value.message


def test_private_addresses_and_http_are_for_development() -> None:
    assert target("http://127.0.0.1:8080/hook", allow_private=True)


def test_a_deployment_that_cannot_sign_says_so() -> None:
    with pytest.raises(InvalidRequest, match="it has no WEBHOOK_SECRET"):
        target("https://a.example/hook", signer=Signer(secrets=()))


def test_an_address_is_shown_in_no_repr() -> None:
    assert "s3cret" not in repr(target("https://a.example/hook?s3cret"))
