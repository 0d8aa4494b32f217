"""The settings of access tokens."""

from __future__ import annotations

import pytest

from service.settings.jwt import Audiences, Issuer
from service.settings.variables import read_settings
from tests.programs.verifying import ACCESS_TOKENS
from tests.test_settings import PRODUCTION, errors_of

ISSUER, AUDIENCES = "OSTIARY_JWT_ISSUER", "OSTIARY_JWT_AUDIENCES"


def test_there_are_no_access_tokens_by_default() -> None:
    settings = read_settings(PRODUCTION)
    assert settings.jwt.issuer is None
    assert settings.jwt.audiences == Audiences()


def test_issuer_and_audiences_are_kept_as_they_are() -> None:
    values = {ISSUER: "https://Auth.example.com/", AUDIENCES: " b, urn:a:A , https://c/x,"}
    settings = read_settings({**PRODUCTION, **values})
    assert settings.jwt.issuer == "https://Auth.example.com/"
    assert sorted(settings.jwt.audiences) == ["b", "https://c/x", "urn:a:A"]
    assert str(settings.jwt.audiences) == "b,https://c/x,urn:a:A"


@pytest.mark.parametrize(("given", "missing"), [(ISSUER, AUDIENCES), (AUDIENCES, ISSUER)])
def test_one_needs_the_other(given: str, missing: str) -> None:
    for text in ({}, {missing: ","} if missing == AUDIENCES else {}):
        assert errors_of(**{given: ACCESS_TOKENS[given]}, **text) == [
            f"{missing}: required with {given}"
        ]


@pytest.mark.parametrize(
    "text",
    [
        *("auth.example.com", "https://", "https:///path", "ftp://auth.example.com", "https://["),
        *("https://auth.example.com?x=1", "https://auth.example.com#x", "https://a@example.com"),
        *("https://auth.example.com/ x", 'https://auth.example.com/"', "https://auth.exämple.com"),
        *("http://auth.example.com", "http://localhost.example.com", "http://127.0.0.1.nip.io"),
    ],
)
def test_what_is_no_issuer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Issuer.parse(text)
    (error,) = errors_of(**ACCESS_TOKENS | {ISSUER: text})
    assert error.startswith(f"{ISSUER}: must ")


@pytest.mark.parametrize(
    "text", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"]
)
def test_an_issuer_on_this_machine_needs_no_tls_in_development(text: str) -> None:
    assert read_settings(ACCESS_TOKENS | {ISSUER: text}).jwt.issuer == text
    assert errors_of(**PRODUCTION, **ACCESS_TOKENS | {ISSUER: text}) == [
        f"{ISSUER}: must begin with https:// in production"
    ]


@pytest.mark.parametrize("text", ["a b", "a\tb", '"a"', "ä", "a\\b", "<a>", ":a", "1:a", "a" * 256])
def test_what_is_no_audience_is_refused(text: str) -> None:
    (error,) = errors_of(**ACCESS_TOKENS | {AUDIENCES: f"billing,{text}"})
    assert error.startswith(f"{AUDIENCES}: ")
    assert ("is no audience" in error) or ("is no URI" in error)
