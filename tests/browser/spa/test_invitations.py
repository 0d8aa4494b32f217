"""Sign-up where it is by invitation, or closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.spa.conftest import follow_link, running_for_app, type_into
from tests.browser.spa.server import SPAServer
from tests.browser.spa.test_sessions import fill
from tests.browser.test_pages import APP, AUTH
from tests.factories import PASSWORD, bearer, service_token
from tests.flows.conftest import ALICE, NEW_PASSWORD, Mailboxes
from tests.invitations import invite
from tests.services import Service
from tests.smtp_server import SMTPServer


@pytest.fixture
def mode() -> str:
    return "invited"


@pytest.fixture
def service(
    database_url: str, tmp_path: Path, spa: SPAServer, smtp: SMTPServer, mode: str
) -> Iterator[Service]:
    log = tmp_path / "service.log"
    hosts = {"page": APP, "service": AUTH}
    with running_for_app(database_url, log, spa, smtp, **hosts, OSTIARY_SIGN_UP=mode) as service:
        yield service


def test_the_link_of_a_mail_leads_to_sign_up(
    page: Page, service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    program = bearer(service_token(service.database_url, "invitations:write"))
    client.post("/admin/invitations", json={"email": ALICE}, headers=program)
    follow_link(page, mailboxes.newest(ALICE, "invitation"))
    type_into(page.locator("#email-sign-up-email"), ALICE)
    expect(page.locator("#verify-sign-up-code")).to_be_focused()
    page.keyboard.type(mailboxes.code(ALICE))
    page.keyboard.press("Tab")
    type_into(page.locator("#verify-sign-up-password"), NEW_PASSWORD)
    expect(page.locator("#greeting")).to_have_text(f"Hello, {ALICE}")
    assert "invitation" not in page.url


def test_a_link_without_an_address_leads_to_a_user_name_too(page: Page, service: Service) -> None:
    page.goto(f"{page.url}#invitation={invite(service.database_url)}")
    page.get_by_text("sign up with a user name").press("Enter")
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#greeting")).to_have_text("Hello, Alice")


def test_without_an_invitation_one_is_told_that_one_is_needed(page: Page) -> None:
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#sign-up [role=alert]")).to_contain_text("need an invitation")


@pytest.mark.parametrize("mode", ["closed"])
def test_one_is_told_that_sign_up_is_closed(page: Page) -> None:
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#sign-up [role=alert]")).to_have_text("Sign-up is closed.")
