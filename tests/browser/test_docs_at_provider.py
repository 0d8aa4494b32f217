"""Log-in at a provider from the page at `/docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.provider.process import Provider, consent, provider_for
from tests.browser.test_docs import DocsPage
from tests.services import Service, reserved_port, running


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.fixture
def redirect_uri(port: int) -> str:
    return f"http://localhost:{port}/docs/callback"


@pytest.fixture
def provider(redirect_uri: str) -> Iterator[Provider]:
    client = {"client_id": "docs", "token_endpoint_auth_method": "none"}
    with provider_for({**client, "redirect_uris": [redirect_uri]}) as provider:
        yield provider


@pytest.fixture
def service(
    database_url: str, tmp_path: Path, provider: Provider, port: int, redirect_uri: str
) -> Iterator[Service]:
    environment = {
        "OSTIARY_PORT": str(port),
        "OSTIARY_OIDC_CORP_ISSUER": provider.issuer,
        "OSTIARY_OIDC_CORP_CLIENT_IDS": "docs",
        "OSTIARY_OIDC_CORP_REDIRECT_URIS": redirect_uri,
    }
    with running(database_url, tmp_path / "service.log", environment) as service:
        service.url = f"http://localhost:{port}"
        yield service


def test_one_logs_in_at_a_provider_from_the_page(
    service: Service, profile: BrowserContext, redirect_uri: str
) -> None:
    docs = DocsPage(profile.new_page(), service)
    body = f'{{"redirect_uri": "{redirect_uri}"}}'
    begun = docs.execute_with("beginLogInAtProvider", body, provider="corp")
    other = profile.new_page()
    other.goto(begun.json()["authorization_url"])
    consent(other, "alice")
    answer = other.locator("#answer")
    expect(answer).to_contain_text('"code"')
    assert other.url == redirect_uri
    proven = docs.execute_with("logInAtProvider", answer.inner_text(), provider="corp")
    assert (proven.status, proven.json()["code"]) == (409, "sign_up_needed")


def test_what_the_provider_sends_is_shown_as_text(
    service: Service, profile: BrowserContext
) -> None:
    page = profile.new_page()
    page.goto(f"{service.url}/docs/callback?error=%3Cb%3Ex%3C/b%3E&state=y")
    expect(page.locator("#answer")).to_contain_text('"error": "<b>x</b>"')
