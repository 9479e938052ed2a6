"""Links to a folder's files: expiring, and signed with a secret that only the folder's owner reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

FILES_PATH = "/files/"
"""Where a server has the files of a store."""

_SECRET_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a link grants: to read `key` until `expires_at` (epoch seconds), saved as `filename` where that is given."""

    key: str
    expires_at: int
    filename: str | None = None


class LinkSigner:
    """Writes links as a URL's path and query, and reads back those that it wrote (HMAC-SHA-256)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, link: Link) -> str:
        """`link` as the path and query of a URL."""
        query = {"expires": str(link.expires_at), "signature": self._signature(link)}
        if link.filename is not None:
            query["filename"] = link.filename
        return f"{FILES_PATH}{quote(link.key)}?{urlencode(query)}"

    def read(self, target: str) -> Link | None:
        """The link that `target`, a request's path and query, is; None if this signer did not write it so."""
        path, _, query = target.partition("?")
        link = _parse(path, dict(parse_qsl(query)))
        signature = dict(parse_qsl(query)).get("signature", "")
        if link is None or not hmac.compare_digest(self._signature(link).encode(), _bytes(signature)):
            return None
        return link

    def _signature(self, link: Link) -> str:
        # Neither a key nor a file name may hold a line feed, so no two links are the same text.
        text = f"{link.key}\n{link.expires_at}\n{link.filename or ''}"
        digest = hmac.new(self._secret, _bytes(text), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def persistent_secret(path: Path) -> bytes:
    """The secret in the file `path`, made on first use and readable by its owner alone. Safe in several processes."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    proposed = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with open(os.open(proposed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_SECRET_BYTES))
    try:
        os.link(proposed, path)  # fails where another process was first
    except FileExistsError:
        pass
    finally:
        proposed.unlink()
    return path.read_bytes()


def _parse(path: str, query: Mapping[str, str]) -> Link | None:
    expires = query.get("expires", "")
    if not path.startswith(FILES_PATH) or not (expires.isascii() and expires.isdigit() and len(expires) < 20):
        return None
    key = unquote(path[len(FILES_PATH) :])
    return Link(key=key, expires_at=int(expires), filename=query.get("filename"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
