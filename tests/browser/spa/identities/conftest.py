"""The app on ``localhost``, and two providers: one of them knows the service by a secret.

The tests of a module share the servers: starting them takes longer than a test.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import served
from tests.browser.provider.process import Provider, consent, provider_for
from tests.browser.spa.conftest import environment_for, open_app
from tests.browser.spa.factors.conftest import HOST, press
from tests.browser.spa.server import Files, SPAServer
from tests.databases import TestServer
from tests.service_pool import IdleServices, ServicePool
from tests.services import Service
from tests.smtp_server import SMTPServer, serving

# There is no such provider.
GONE = "http://127.0.0.1:9"
SECRET = "what only the service and the provider know"


@pytest.fixture(scope="module")
def module_spa() -> Iterator[SPAServer]:
    server = SPAServer(("127.0.0.1", 0), Files)
    server.providers = {"corp": "Corp", "club": "Club", "gone": "Gone"}
    with served(server):
        yield server


@pytest.fixture
def spa(module_spa: SPAServer) -> SPAServer:
    return module_spa


@pytest.fixture(scope="module")
def shared_smtp() -> Iterator[SMTPServer]:
    with serving(SMTPServer()) as server:
        yield server


@pytest.fixture
def smtp(shared_smtp: SMTPServer) -> SMTPServer:
    return shared_smtp


def callback_of(name: str, spa: SPAServer) -> str:
    return f"http://{HOST}:{spa.port}/callback/{name}.html"


@pytest.fixture(scope="module")
def corp(module_spa: SPAServer) -> Iterator[Provider]:
    """Return the provider ``corp``, for which the service is a public client."""
    redirect_uri = callback_of("corp", module_spa)
    public = {"client_id": "app", "token_endpoint_auth_method": "none"}
    with provider_for({**public, "redirect_uris": [redirect_uri]}) as provider:
        yield provider


@pytest.fixture(scope="module")
def club(module_spa: SPAServer) -> Iterator[Provider]:
    """Return the provider ``club``, for which the service is a confidential client."""
    redirect_uri = callback_of("club", module_spa)
    confidential = {"client_id": "club-app", "client_secret": SECRET}
    with provider_for({**confidential, "redirect_uris": [redirect_uri]}) as provider:
        yield provider


@pytest.fixture
def more() -> dict[str, str]:
    """Return further settings."""
    return {}


@pytest.fixture(scope="module")
def module_services(
    chromium: Browser, postgresql: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServicePool]:
    """Return services that end before the browser, which waits for all that hold its pipes."""
    pool = ServicePool(postgresql, tmp_path_factory.mktemp("services"), IdleServices())
    yield pool
    pool.close()


@pytest.fixture
def service(
    services: ServicePool,
    spa: SPAServer,
    smtp: SMTPServer,
    corp: Provider,
    club: Provider,
    more: dict[str, str],
) -> Service:
    settings = {
        "OSTIARY_OIDC_CORP_ISSUER": corp.issuer,
        "OSTIARY_OIDC_CORP_CLIENT_IDS": "app",
        "OSTIARY_OIDC_CLUB_ISSUER": club.issuer,
        "OSTIARY_OIDC_CLUB_CLIENT_IDS": "club-app",
        "OSTIARY_OIDC_CLUB_CLIENT_SECRET": SECRET,
        "OSTIARY_OIDC_GONE_ISSUER": GONE,
        "OSTIARY_OIDC_GONE_CLIENT_IDS": "app",
        **{
            f"OSTIARY_OIDC_{name.upper()}_REDIRECT_URIS": callback_of(name, spa)
            for name in spa.providers
        },
    }
    environment = environment_for(spa, smtp, page=HOST, service=HOST, **settings, **more)
    service = services.service(environment)
    spa.service_url = service.url.replace("127.0.0.1", HOST)
    return service


@pytest.fixture
def page(profile: BrowserContext, spa: SPAServer, client: httpx.Client) -> Iterator[Page]:
    with open_app(profile, spa, HOST) as page:
        yield page


def greeted(page: Page, username: str) -> None:
    greeting = page.locator("#greeting")
    expect(greeting).to_have_text(f"Hello, {username}")
    # Who was logged in before is still in the page, hidden.
    expect(greeting).to_be_visible()


def sign_up_at(page: Page, provider: str = "Corp", name: str = "alice") -> None:
    """Log in at a provider for the first time, and sign up by the name that it suggests."""
    press(page, f"Log in with {provider}")
    consent(page, name)
    expect(page.locator("#provider-sign-up-username")).to_be_focused()
    page.keyboard.press("Enter")
    greeted(page, name)


def link(page: Page, provider: str, name: str) -> None:
    press(page, f"Link an account at {provider}")
    consent(page, name)


def log_out_at_providers(page: Page) -> None:
    page.context.clear_cookies(domain="127.0.0.1")
