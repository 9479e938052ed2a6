from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputRejected
from runtime.fetch.url import WebUrl


def test_a_url_is_taken_apart_with_its_default_port() -> None:
    url = WebUrl.parse("https://Pictures.example/a/b.png?x=1#top")
    assert (url.scheme, url.host, url.port, url.target) == ("https", "pictures.example", 443, "/a/b.png?x=1")


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        pytest.param("https://pictures.example:443/", "pictures.example", id="default_port"),
        pytest.param("http://pictures.example:8080/", "pictures.example:8080", id="other_port"),
        pytest.param("http://[2606:4700::1111]:81/", "[2606:4700::1111]:81", id="ipv6"),
        pytest.param("https://bücher.example/", "xn--bcher-kva.example", id="idna"),
    ],
)
def test_the_host_header_is_the_authority(text: str, authority: str) -> None:
    assert WebUrl.parse(text).authority == authority


def test_characters_outside_ascii_are_escaped_and_escapes_are_kept() -> None:
    assert WebUrl.parse("https://a.example/ü%20b?q=é").target == "/%C3%BC%20b?q=%C3%A9"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("ftp://a.example/", id="scheme"),
        pytest.param("https:///a.png", id="no_host"),
        pytest.param("https://user:pw@a.example/", id="userinfo"),
        pytest.param("https://@a.example/", id="empty_user"),
        pytest.param("https://a.example:99999/", id="port"),
        pytest.param("https://a.example:0/", id="port_0"),
        pytest.param("https://a.example\\@b.example/", id="backslash"),
        pytest.param("https://a.example/a b", id="space"),
        pytest.param("https://a.example/a\r\nX: y", id="line_break"),
        pytest.param("https://a.example/\ud800", id="surrogate"),
        pytest.param("https://a%2fb.example/", id="escaped_host"),
        pytest.param("https://[::1", id="bracket"),
        pytest.param("https://[::g]/", id="not_ipv6"),
        pytest.param("https://[fe80::1%25eth0]/", id="zone"),
        pytest.param("https://a..example/", id="empty_label"),
        pytest.param(f"https://a.example/{'a' * 9000}", id="long"),
    ],
)
def test_a_url_with_anything_out_of_the_ordinary_is_refused(text: str) -> None:
    with pytest.raises(InputRejected):
        WebUrl.parse(text)


@given(st.text(max_size=60))
def test_whatever_the_text_only_an_ascii_request_line_comes_out(text: str) -> None:
    try:
        url = WebUrl.parse(f"https://{text}")
    except InputRejected:
        return
    line = f"{url.authority}{url.target}"
    assert line.isascii()
    assert line.isprintable()
    assert " " not in line


@pytest.mark.parametrize("text", ["https://a.example/p.png?X-Amz-Signature=secret", "https://u:secret@a.example/"])
def test_a_query_and_a_password_are_never_shown(text: str) -> None:
    try:
        message = f"{WebUrl.parse(text)} {WebUrl.parse(text)!r}"
    except InputRejected as exc:
        message = exc.message
    assert "a.example" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("/c.png", "https://a.example:444/c.png", id="absolute_path"),
        pytest.param("c.png", "https://a.example:444/b/c.png", id="relative"),
        pytest.param("//d.example/c.png", "https://d.example/c.png", id="other_host"),
        pytest.param("http://d.example/", "http://d.example/", id="whole"),
    ],
)
def test_a_redirect_is_joined_to_where_it_came_from(location: str, expected: str) -> None:
    assert str(WebUrl.parse("https://a.example:444/b/a.png?q=1").join(location)) == expected
