"""Sign-up, log-in and sessions, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.spa.conftest import type_into
from tests.browser.spa.server import SPAServer
from tests.browser.test_pages import APP, NEIGHBOUR
from tests.databases import execute
from tests.factories import PASSWORD
from tests.flows.conftest import ALICE, NEW_PASSWORD, Mailboxes
from tests.services import Service


def fill(page: Page, form: str, username: str, password: str) -> None:
    """Type into a form, and send it, by keyboard."""
    page.locator(f"#{form}-username").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(username)
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_one_signs_up_reloads_logs_out_and_logs_in(page: Page) -> None:
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#greeting")).to_have_text("Hello, Alice")
    page.reload()
    expect(page.locator("#greeting")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("You are logged out.")
    fill(page, "log-in", "alice", PASSWORD)
    expect(page.locator("#greeting")).to_have_text("Hello, Alice")
    assert page.evaluate("document.cookie") == ""


def test_one_signs_up_by_email(page: Page, mailboxes: Mailboxes) -> None:
    page.get_by_text("Sign up by e-mail instead").press("Enter")
    type_into(page.locator("#email-sign-up-email"), ALICE)
    code = page.locator("#verify-sign-up-code")
    expect(code).to_be_focused()
    page.keyboard.type(mailboxes.code(ALICE))
    page.keyboard.press("Tab")
    type_into(page.locator("#verify-sign-up-password"), "password")
    expect(page.locator("#verify-sign-up-password-error")).to_contain_text("common")
    type_into(page.locator("#verify-sign-up-password"), NEW_PASSWORD)
    expect(page.locator("#greeting")).to_have_text(f"Hello, {ALICE}")
    expect(page.locator("#email")).to_have_text(ALICE)


def test_errors_stand_beside_their_fields(page: Page) -> None:
    fill(page, "sign-up", "al", "secret")
    for field in ("username", "password"):
        error = page.locator(f"#sign-up-{field}-error")
        expect(error).to_contain_text("at least")
        described = page.locator(f"#sign-up-{field}")
        expect(described).to_have_attribute("aria-invalid", "true")
        expect(described).to_have_attribute("aria-describedby", f"sign-up-{field}-error")
    expect(page.locator("#sign-up-username")).to_be_focused()


def test_where_the_browser_has_no_passkeys_none_are_offered(page: Page) -> None:
    expect(page.locator("#passkey-log-in")).to_be_hidden()
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#no-passkeys-here")).to_be_visible()
    expect(page.locator("#add-passkey")).to_be_hidden()


def test_a_wrong_password_is_told_above_the_form(page: Page) -> None:
    fill(page, "log-in", "Unknown", "wrong")
    expect(page.locator("#log-in [role=alert]")).not_to_be_empty()
    expect(page.locator("#log-in-password-error")).to_be_empty()


def test_other_devices_are_listed_and_logged_out(page: Page, service: Service) -> None:
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#devices tr")).to_have_count(1)
    with service.client() as phone:
        body = {"username": "Alice", "password": PASSWORD, "device_name": "<b>phone</b>"}
        phone.post("/login", json=body).raise_for_status()
        page.reload()
        expect(page.locator("#devices")).to_contain_text("<b>phone</b>")
        page.get_by_label("Log out <b>phone</b>").press("Enter")
        expect(page.locator("#devices tr")).to_have_count(1)
        assert phone.get("/me").status_code == 401


def test_a_session_that_ended_elsewhere_shows_the_forms(page: Page, service: Service) -> None:
    fill(page, "sign-up", "Alice", PASSWORD)
    expect(page.locator("#devices tr")).to_have_count(1)
    execute(service.database_url, "DELETE FROM session")
    page.locator("#log-out").press("Enter")
    expect(page.locator("#status")).to_have_text("You have been logged out.")
    expect(page.locator("#log-in-username")).to_be_focused()


@pytest.mark.usefixtures("service")
def test_a_page_of_another_origin_says_so(profile: BrowserContext, spa: SPAServer) -> None:
    page = profile.new_page()
    page.goto(f"http://{NEIGHBOUR}:{spa.server_address[1]}/")
    expect(page.locator("#status")).to_contain_text(f"does not allow the origin http://{NEIGHBOUR}")


def test_an_unreachable_service_is_reported(profile: BrowserContext, spa: SPAServer) -> None:
    spa.service_url = "http://127.0.0.1:9"
    page = profile.new_page()
    page.goto(f"http://{APP}:{spa.server_address[1]}/")
    expect(page.locator("#status")).to_contain_text("cannot be reached")
