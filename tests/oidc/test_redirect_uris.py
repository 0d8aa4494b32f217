"""Where a provider may send its user (RFC 8252, sections 7 and 8.3)."""

from __future__ import annotations

import pytest

from service.settings.redirect_uris import RedirectURIs

LIST = RedirectURIs.parse(
    "https://app.example/cb, com.example.app:/cb,http://127.0.0.1/cb, http://[::1]:8000/cb,"
    "http://localhost:5173/cb"
)


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example/cb",
        "com.example.app:/cb",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:51234/cb",
        "http://[::1]:51234/cb",
        "http://[::1]/cb",
        "http://localhost:5173/cb",
    ],
)
def test_a_redirect_uri_of_the_list_is_allowed(text: str) -> None:
    assert LIST.allows(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://app.example",
        "https://app.example/cb/",
        "https://app.example/cb?x=1",
        "https://app.example/cb#f",
        "https://app.example/CB",
        "HTTPS://app.example/cb",
        "https://app.example:443/cb",
        "https://app.example:8443/cb",
        "https://app.example.evil/cb",
        "https://app.example@evil.example/cb",
        "http://app.example/cb",
        "com.example.app:/cb/x",
        "com.example.app://cb",
        "http://127.0.0.1:51234/cb/x",
        "http://127.0.0.1:51234/cb#f",
        "http://127.0.0.1:51234",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.2/cb",
        "https://127.0.0.1:51234/cb",
        "http://[::1]:80@evil.example/cb",
        "http://localhost:51234/cb",
        "http://localhost/cb",
        "http://127.0.0.1:51234/cb\n",
        "http://127.0.0.1:٣/cb",
        "http://127.0.0.1:1/" + "a" * 600,
    ],
)
def test_any_other_redirect_uri_is_not(text: str) -> None:
    assert not LIST.allows(text)


@pytest.mark.parametrize(
    "text",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,a",
        "ftp://app.example/cb",
        "app:/cb",
        "com.example.app:cb",
        ".app:/cb",
        "http://app.example/cb",
        "http://10.0.0.1/cb",
        "http://127.0.0.1.evil.example/cb",
        "https:///cb",
        "https://app.example/cb#",
        "https://app.example/cb#f",
        "https://*.app.example/cb",
        "https://user@app.example/cb",
        "https://app.example/a b",
        "https://app.example/é",
        "https://app.example:port/cb",
        "https://app.example:0/cb",
        "https://[::1/cb",
        "//app.example/cb",
        "/cb",
        "https://app.example/" + "a" * 600,
    ],
)
def test_a_list_has_no_uri_to_which_a_code_must_not_go(text: str) -> None:
    with pytest.raises(ValueError):
        RedirectURIs.parse(text)


def test_a_list_is_written_as_it_is_read() -> None:
    assert RedirectURIs.parse(str(LIST)) == LIST
