"""A forgotten password, by keyboard."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.spa.conftest import follow_link, status, type_into
from tests.flows.conftest import ALICE, Mailboxes, log_in_by

THIRD = "a third and longer passphrase"


@pytest.mark.usefixtures("alice")
def test_whoever_forgot_the_password_sets_a_new_one_and_is_logged_in(
    page: Page, mailboxes: Mailboxes, client: httpx.Client
) -> None:
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_text("Forgot your password?").first).to_be_focused()
    page.keyboard.press("Enter")
    identifier = page.locator("#request-reset-identifier")
    type_into(identifier, ALICE)
    status(page, "If there is such an account")
    follow_link(page, mailboxes.newest(ALICE, "Reset"))
    password = page.locator("#confirm-reset-new_password")
    type_into(password, "password")
    expect(page.locator("#confirm-reset-new_password-error")).to_contain_text("common")
    expect(password).to_have_attribute("aria-invalid", "true")
    type_into(password, THIRD)
    expect(page.locator("#greeting")).to_have_text("Hello, Alice")
    assert "#" not in page.url
    page.reload()
    expect(page.locator("#greeting")).to_be_focused()
    assert log_in_by(client, "Alice", THIRD).status_code == 200


@pytest.mark.usefixtures("alice")
def test_the_page_answers_alike_whether_there_is_such_an_account(page: Page) -> None:
    answers = set()
    for identifier in (ALICE, "Alice", "Nobody", "nobody@example.org"):
        page.get_by_text("Forgot your password?").first.press("Enter")
        type_into(page.locator("#request-reset-identifier"), identifier)
        status(page, "If there is such an account")
        answers.add(page.locator("body").inner_text())
        page.get_by_text("Back to log-in").locator("visible=true").press("Enter")
        expect(page.locator("#log-in-username")).to_be_focused()
    assert len(answers) == 1


@pytest.mark.usefixtures("alice")
def test_a_link_that_is_used_up_leads_to_another_one(page: Page, mailboxes: Mailboxes) -> None:
    page.get_by_text("Forgot your password?").first.press("Enter")
    type_into(page.locator("#request-reset-identifier"), "Alice")
    mail = mailboxes.newest(ALICE, "Reset")
    follow_link(page, mail)
    type_into(page.locator("#confirm-reset-new_password"), THIRD)
    expect(page.locator("#greeting")).to_be_visible()
    follow_link(page, mail)
    type_into(page.locator("#confirm-reset-new_password"), "one more passphrase")
    expect(page.locator("#reset [role=alert]")).to_contain_text("no longer valid")
    page.get_by_text("Ask for another link").press("Enter")
    expect(page.locator("#request-reset-identifier")).to_be_focused()
