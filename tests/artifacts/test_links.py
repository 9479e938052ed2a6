from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.artifacts.links import Link, LinkSigner

SIGNER = LinkSigner(b"s" * 32)
TARGET = SIGNER.write(Link(key="outputs/a b.png", expires_at=1_800_000_000, filename="snow.png"))
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(key=TEXT, expires_at=st.integers(0, 10**12), filename=st.none() | TEXT)
def test_a_link_comes_back_from_its_url(key: str, expires_at: int, filename: str | None) -> None:
    link = Link(key=key, expires_at=expires_at, filename=filename)
    assert SIGNER.read(SIGNER.write(link)) == link


ALTERED = {
    "another key": TARGET.replace("a%20b", "a%20c"),
    "a later end": TARGET.replace("1800000000", "1900000000"),
    "an end written otherwise": TARGET.replace("expires=", "expires=0"),
    "another file name": TARGET.replace("snow", "rain"),
    "no file name": TARGET.replace("&filename=snow.png", ""),
    "another signature": TARGET.replace("signature=", "signature=A"),
    "no signature": TARGET.split("&")[0],
    "no ascii": TARGET.replace("signature=", "signature=%C3%BC"),
    "no end": TARGET.replace("expires", "expiry"),
    "a negative end": TARGET.replace("expires=", "expires=-"),
    "an endless end": TARGET.replace("expires=", "expires=" + "9" * 5000),
    "another path": TARGET.replace("/files/", "/other/"),
    "no query": TARGET.split("?")[0],
    "nothing": "",
}


@pytest.mark.parametrize(
    "target", [pytest.param(target, id=name) for name, target in ALTERED.items() if "end written" not in name]
)
def test_an_altered_link_is_none(target: str) -> None:
    assert target != TARGET
    assert SIGNER.read(target) is None


def test_the_same_link_written_otherwise_grants_no_more() -> None:
    assert SIGNER.read(ALTERED["an end written otherwise"]) == SIGNER.read(TARGET)
