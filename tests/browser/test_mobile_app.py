"""The mobile example at a provider: in the browser of the system, and by an SDK."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from webauthn.helpers import bytes_to_base64url

from tests.browser.provider.process import Provider, answer, consent, provider_for
from tests.services import PATIENCE, Service, running

MOBILE = Path(__file__).parents[2] / "examples" / "mobile.py"
LOOPBACK, LINK = "http://127.0.0.1/callback", "com.example.app:/callback"
NATIVE = {"application_type": "native", "token_endpoint_auth_method": "none"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    app = {"client_id": "app", **NATIVE, "redirect_uris": [LOOPBACK]}
    sdk = {"client_id": "sdk", **NATIVE, "redirect_uris": [LINK]}
    with provider_for(app, sdk) as provider:
        yield provider


@pytest.fixture
def service(database_url: str, tmp_path: Path, provider: Provider) -> Iterator[Service]:
    environment = {
        "OSTIARY_OIDC_CORP_ISSUER": provider.issuer,
        "OSTIARY_OIDC_CORP_CLIENT_IDS": "app,sdk",
        "OSTIARY_OIDC_CORP_REDIRECT_URIS": f"{LOOPBACK},{LINK}",
    }
    with running(database_url, tmp_path / "service.log", environment) as service:
        yield service


class App:
    """A running example, at whose terminal somebody sits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def said(self, text: str) -> str:
        """Return what the next line has after a text."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(f"{text} "), line
        return line.removeprefix(text).strip()

    def ended(self, typed: str = "") -> list[str]:
        """Type something, and return the lines that follow until it ends."""
        output, _ = self._process.communicate(typed, timeout=PATIENCE)
        return [*output.splitlines(), f"ended with {self._process.returncode}"]


@contextmanager
def app(service: Service, *arguments: str) -> Iterator[App]:
    command = [sys.executable, str(MOBILE), service.url, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield App(process)
        finally:
            process.kill()


def test_one_signs_up_and_logs_in_in_the_browser_of_the_system(
    service: Service, profile: BrowserContext
) -> None:
    page = profile.new_page()
    with app(service, "--provider", "corp") as first:
        page.goto(first.said("open in the browser:"))
        consent(page, "jane")
        expect(page.locator("body")).to_have_text("Go back to the app.")
        assert first.ended("jane\n") == [
            "the provider suggests: jane",
            "logged in, on Jane's phone",
            "ended with 0",
        ]
    with app(service, "--provider", "corp") as second:
        page.goto(second.said("open in the browser:"))
        # The provider asks for consent each time: any program may pretend to be a native app.
        answer(page, "Allow")
        assert second.ended() == ["logged in, on Jane's phone", "ended with 0"]


def test_who_cancels_is_told_so(service: Service, profile: BrowserContext) -> None:
    page = profile.new_page()
    with app(service, "--provider", "corp") as running_app:
        page.goto(running_app.said("open in the browser:"))
        answer(page, "Cancel")
        refused, ended = running_app.ended()
    assert refused.startswith("provider_refused: ")
    assert ended == "ended with 1"


def test_one_logs_in_by_the_id_token_of_an_sdk(
    service: Service, provider: Provider, profile: BrowserContext
) -> None:
    for lines in (["the provider suggests: jane"], []):
        with app(service, "--sdk", "corp") as running_app:
            token = id_token(profile, provider, running_app.said("nonce for the SDK:"))
            ended = running_app.ended(f"{token}\njane\n")
            assert ended == [*lines, "logged in, on Jane's phone", "ended with 0"]


def id_token(profile: BrowserContext, provider: Provider, nonce: str) -> str:
    """Return what the SDK of a provider returns, which is a client of its own."""
    profile.clear_cookies()
    page = profile.new_page()
    verifier = secrets.token_urlsafe(32)
    sent = {
        "client_id": "sdk",
        "response_type": "code",
        "redirect_uri": LINK,
        "scope": "openid profile",
        "nonce": nonce,
        "code_challenge": bytes_to_base64url(sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    page.goto(f"{provider.issuer}/auth?{urlencode(sent)}")
    # The link opens the app: no browser loads it.
    with page.expect_event("request", lambda request: request.url.startswith(LINK)) as link:
        consent(page, "jane")
    (code,) = parse_qs(urlsplit(link.value.url).query)["code"]
    body = {
        "client_id": "sdk",
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": LINK,
        "code_verifier": verifier,
    }
    token: str = httpx.post(f"{provider.issuer}/token", data=body).json()["id_token"]
    return token
