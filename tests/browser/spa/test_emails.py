"""The user's address, and a change of it that is taken back, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.spa.conftest import follow_link, log_in, status, type_into
from tests.factories import age_sessions
from tests.flows.conftest import ALICE, NEW_PASSWORD, Mailboxes, wrong
from tests.services import Service

NEW = "alice@new.example.org"


def change_address(page: Page, mailboxes: Mailboxes) -> None:
    page.locator("#change-email-email").focus()
    type_into(page.locator("#change-email-email"), NEW)
    type_into(page.locator("#verify-email-code"), mailboxes.code(NEW))
    status(page, f"Your address is {NEW}.")


@pytest.mark.usefixtures("alice")
def test_an_address_is_set_and_removed_after_the_password_was_asked_for(
    page: Page, mailboxes: Mailboxes, service: Service
) -> None:
    log_in(page)
    age_sessions(service.database_url, days=1 / 100)
    page.locator("#change-email-email").focus()
    type_into(page.locator("#change-email-email"), NEW)
    password = page.locator("#reauthenticate-password")
    type_into(password, "wrong")
    expect(page.locator("#step-up [role=alert]")).to_have_text("The password is wrong.")
    type_into(password, NEW_PASSWORD)
    code = page.locator("#verify-email-code")
    sent = mailboxes.code(NEW)
    type_into(code, wrong(sent))
    expect(page.locator("#verify-email [role=alert]")).to_contain_text("wrong")
    type_into(code, sent)
    expect(page.locator("#email")).to_have_text(NEW)
    expect(page.locator("#verify-email")).to_be_hidden()
    page.locator("#remove-email").press("Enter")
    status(page, "Your address was removed.")
    expect(page.locator("#email")).to_contain_text("None")


@pytest.mark.usefixtures("alice")
def test_whoever_does_not_confirm_changes_nothing(page: Page, service: Service) -> None:
    log_in(page)
    age_sessions(service.database_url, days=1 / 100)
    page.locator("#remove-email").press("Enter")
    expect(page.locator("#reauthenticate-password")).to_be_focused()
    page.keyboard.press("Escape")
    status(page, "Nothing was changed.")
    expect(page.locator("#remove-email")).to_be_focused()
    expect(page.locator("#email")).to_have_text(ALICE)


@pytest.mark.usefixtures("alice")
def test_a_change_is_taken_back_when_the_button_is_pressed_and_not_before(
    page: Page, mailboxes: Mailboxes
) -> None:
    log_in(page)
    change_address(page, mailboxes)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.method))
    follow_link(page, mailboxes.newest(ALICE, "Your address was changed"))
    expect(page.locator("#undo h2")).to_be_focused()
    page.wait_for_load_state("networkidle")
    assert set(requests) == {"GET"}
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    status(page, "The change was taken back.")
    expect(page.locator("#log-in-username")).to_be_focused()
    assert "#" not in page.url
    follow_link(page, mailboxes.newest(ALICE, "Choose a new password"))
    type_into(page.locator("#confirm-reset-new_password"), "a third and longer passphrase")
    expect(page.locator("#email")).to_have_text(ALICE)
