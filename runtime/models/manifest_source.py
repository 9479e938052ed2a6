"""Where a model comes from, as the manifest writes it: one address taken apart once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from runtime.errors import InvalidRequest

SCHEMES = ("hf", "s3", "https", "http", "civitai", "file")
_HF = re.compile(r"^(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+?)(?:@(?P<revision>[^@\s]+))?$")
_S3 = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.+)$")
_CIVITAI = re.compile(r"^(?P<version>\d{1,12})(?:\?(?P<query>[\w=&%.-]*))?$")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source. `text` may hold a signature in its query: only `str()` of it is fit for a message."""

    scheme: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Raises InvalidRequest that says what form was expected, and never repeats a password or a query."""
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in SCHEMES:
            known = ", ".join(f"{known}://" for known in SCHEMES)
            raise InvalidRequest(f"a source begins with {scheme[:20]!r}; expected one of {known}")
        if _UNSAFE.search(text.replace(" ", "") if scheme in ("file", "hf", "s3") else text):
            raise InvalidRequest(f"the {scheme}:// source holds a backslash, white space or a control character")
        expected = _expected_form(scheme, rest)
        if expected is not None:
            raise InvalidRequest(f"{_without_query(text)!r} is no source; expected {expected}")
        return cls(scheme=scheme, text=text)

    @property
    def rest(self) -> str:
        return self.text.partition("://")[2]

    @property
    def hf(self) -> tuple[str, str, str]:
        """Repository, file and revision of an hf:// source; the revision is `main` where none is given."""
        found = _HF.match(self.rest)
        if found is None:
            raise InvalidRequest(f"{self} is no hf:// source")
        return found["repo"], found["file"], found["revision"] or "main"

    @property
    def s3(self) -> tuple[str, str]:
        """Bucket and key of an s3:// source."""
        bucket, _, key = self.rest.partition("/")
        return bucket, key

    @property
    def file_name(self) -> str:
        """The last part of its path, decoded; empty where it has none."""
        if self.scheme == "hf":
            return self.hf[1].rpartition("/")[2]
        if self.scheme == "civitai":
            return ""
        path = self.rest if self.scheme in ("s3", "file") else unquote(urlsplit(self.text).path)
        return path.rpartition("/")[2]

    def web_url(self, *, hf_endpoint: str, civitai_endpoint: str) -> str:
        """The http or https address that answers for it."""
        if self.scheme == "hf":
            repo, file, revision = self.hf
            return f"{hf_endpoint}/{repo}/resolve/{quote(revision, safe='')}/{quote(file)}"
        if self.scheme == "civitai":
            return f"{civitai_endpoint}/api/download/models/{self.rest}"
        return self.text

    def __str__(self) -> str:
        return _without_query(self.text)

    __repr__ = __str__


def _expected_form(scheme: str, rest: str) -> str | None:
    """What a source of `scheme` looks like, where `rest` does not."""
    if scheme == "hf":
        return None if _HF.match(rest) else "hf://OWNER/REPO/FILE@REVISION"
    if scheme == "s3":
        return None if _S3.match(rest) else "s3://BUCKET/KEY"
    if scheme == "civitai":
        return None if _CIVITAI.match(rest) else "civitai://MODEL_VERSION_ID"
    if scheme == "file":
        return None if rest.startswith("/") else "file:///ABSOLUTE/PATH"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        is_plain = bool(parts.hostname) and parts.username is None and parts.password is None and parts.port != 0
    except ValueError:
        is_plain = False
    return None if is_plain else f"{scheme}://HOST/PATH without user name and password"


def _without_query(text: str) -> str:
    return text.partition("?")[0].rpartition("@")[2] if text.startswith("http") else text.partition("?")[0]
