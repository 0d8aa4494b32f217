"""The single-page app, from another origin than the service's, and the mailboxes of its users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Error, Locator, Page, expect

from tests.browser.conftest import served
from tests.browser.spa.server import Files, SPAServer
from tests.browser.test_pages import APP, AUTH
from tests.flows.conftest import NEW_PASSWORD, Mailboxes, user_with_address
from tests.mail.conftest import mail_environment, plain_url
from tests.services import Service, running
from tests.smtp_server import Received, SMTPServer, serving


@pytest.fixture
def spa() -> Iterator[SPAServer]:
    server = SPAServer(("127.0.0.1", 0), Files)
    with served(server):
        yield server


@pytest.fixture
def smtp() -> Iterator[SMTPServer]:
    with serving(SMTPServer()) as server:
        yield server


@pytest.fixture
def mailboxes(smtp: SMTPServer) -> Mailboxes:
    return Mailboxes(smtp)


def environment_for(
    spa: SPAServer, smtp: SMTPServer, *, page: str, service: str, **more: str
) -> dict[str, str]:
    """Return the settings for the app at the host ``page``, which says ``service`` to a service."""
    app = f"http://{page}:{spa.port}"
    return mail_environment(
        plain_url(smtp),
        OSTIARY_RESET_URL=f"{app}/#reset={{token}}",
        OSTIARY_UNDO_URL=f"{app}/#undo={{token}}",
        OSTIARY_INVITATION_URL=f"{app}/#invitation={{token}}",
        OSTIARY_ALLOWED_ORIGINS=app,
        OSTIARY_ALLOWED_HOSTS=service,
        **more,
    )


@contextmanager
def running_for_app(
    database_url: str,
    log: Path,
    spa: SPAServer,
    smtp: SMTPServer,
    *,
    page: str,
    service: str,
    **more: str,
) -> Iterator[Service]:
    """Run the service for the app at the host ``page``, which calls it by the name ``service``."""
    environment = environment_for(spa, smtp, page=page, service=service, **more)
    with running(database_url, log, environment) as run:
        spa.service_url = run.url.replace("127.0.0.1", service)
        yield run


@contextmanager
def open_app(profile: BrowserContext, spa: SPAServer, host: str) -> Iterator[Page]:
    """Open the app where nobody is logged in. No script of it may end with an error."""
    page, errors = profile.new_page(), list[Error]()

    # Playwright does not take the method of a built-in type for a handler.
    def record(error: Error) -> None:
        errors.append(error)

    page.on("pageerror", record)
    page.goto(f"http://{host}:{spa.server_address[1]}/")
    expect(page.locator("#log-in-username")).to_be_focused()
    yield page
    assert errors == []


@pytest.fixture
def service(
    database_url: str, tmp_path: Path, spa: SPAServer, smtp: SMTPServer
) -> Iterator[Service]:
    log = tmp_path / "service.log"
    with running_for_app(database_url, log, spa, smtp, page=APP, service=AUTH) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def page(profile: BrowserContext, spa: SPAServer, client: httpx.Client) -> Iterator[Page]:
    with open_app(profile, spa, APP) as page:
        yield page


@pytest.fixture
def alice(client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    """Return the header of a session of a user with a name and an address."""
    return user_with_address(client, mailboxes, username="Alice")


def follow_link(page: Page, mail: Received) -> None:
    """Open a mail in the browser, and press its link."""
    page.goto("about:blank")
    page.set_content(mail.part("html"))
    page.get_by_role("link").press("Enter")


def type_into(field: Locator, text: str) -> None:
    """Type a text where the focus is already, and press Enter."""
    expect(field).to_be_focused()
    field.page.keyboard.press("Control+A")
    field.page.keyboard.type(text)
    field.page.keyboard.press("Enter")


def log_in(page: Page, password: str = NEW_PASSWORD) -> None:
    page.keyboard.type("Alice")
    page.keyboard.press("Tab")
    type_into(page.locator("#log-in-password"), password)
    expect(page.locator("#greeting")).to_have_text("Hello, Alice")


def status(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_contain_text(text)
