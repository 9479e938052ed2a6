"""Which addresses a webhook may have: held against a request's when it comes in, and again when it is called."""

from __future__ import annotations

from ipaddress import ip_address

from runtime.errors import InputRejected, InvalidRequest
from runtime.fetch.access import WebAccess
from runtime.fetch.addresses import is_public
from runtime.fetch.url import WebUrl
from runtime.jobs.record import WebhookTarget
from runtime.request import JobRequest
from runtime.webhooks.signature import Signer


def target_of(request: JobRequest, access: WebAccess, signer: Signer) -> WebhookTarget | None:
    """Whom the request asks to tell, None for nobody.

    Raises InvalidRequest for an address that would not be called, or where this deployment has nothing to sign with.
    A host's name is looked up only when it is called.
    """
    if request.webhook is None:
        return None
    if not signer.can_sign:
        raise InvalidRequest("webhook: this deployment sends none: it has no WEBHOOK_SECRET, or ENABLE_WEBHOOKS is off")
    try:
        checked_url(request.webhook.url, access)
    except InputRejected as exc:
        raise InvalidRequest(f"webhook.url: {exc.message}") from exc
    return WebhookTarget(url=request.webhook.url, events=request.webhook.events, url_ttl_s=request.output.url_ttl_s)


def checked_url(text: str, access: WebAccess) -> WebUrl:
    """The address, if it is https; http too where private addresses are allowed. Raises InputRejected."""
    url = WebUrl.parse(text)
    if access.allow_private:
        return url
    if url.scheme != "https":
        raise InputRejected("a webhook's scheme is 'http', expected https: it carries links to what a job made")
    if _is_address(url.host) and not is_public(url.host):
        raise InputRejected(f"host {url.host!r} is not on the public internet")
    return url


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
