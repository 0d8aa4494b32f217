"""Passkeys, with a virtual authenticator."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.spa.conftest import log_in, status, type_into
from tests.browser.spa.factors.conftest import (
    Authenticator,
    add_passkey,
    keep_codes,
    log_out,
    press,
    problem_in,
    set_up_app,
    signed_in,
    type_name_and_password,
)
from tests.factories import age_sessions
from tests.services import Service

pytestmark = pytest.mark.usefixtures("alice")

PASSKEY = "#passkey-rows tr"
PASSWORD = "section[aria-labelledby=password-title]"


def with_passkey(page: Page, authenticator: Authenticator, name: str = "Laptop") -> None:
    log_in(page)
    add_passkey(page, authenticator, name)
    keep_codes(page)


def log_in_by_button(page: Page, authenticator: Authenticator) -> None:
    """Press the button, where no autofill waits that would answer first."""
    page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
    page.reload()
    expect(page.locator("#log-in-username")).to_be_focused()
    authenticator.touch(touches=True)
    press(page, "Log in with a passkey")


def test_a_passkey_is_added_and_listed(page: Page, authenticator: Authenticator) -> None:
    with_passkey(page, authenticator)
    expect(page.locator(PASSKEY)).to_have_count(1)
    cells = page.locator(f"{PASSKEY} td").all_inner_texts()
    assert (cells[0], cells[2], cells[3]) == ("Laptop", "never", "yes")
    (credential,) = authenticator.credentials
    assert (credential["rpId"], credential["isResidentCredential"]) == ("localhost", True)
    assert credential["userName"] == "Alice"


def test_one_logs_in_by_passkey_with_a_button_and_no_name(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    log_out(page)
    log_in_by_button(page, authenticator)
    signed_in(page)
    expect(page.locator("#devices tr td").nth(3)).to_have_text("passkey")
    assert page.locator(f"{PASSKEY} td").nth(2).inner_text() != "never"


def test_one_logs_in_by_the_passkey_that_the_browser_fills_in(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    log_out(page)
    expect(page.locator("#log-in-username")).to_have_attribute("autocomplete", "username webauthn")
    authenticator.touch(touches=True)
    page.reload()
    signed_in(page)
    expect(page.locator("#devices tr td").nth(3)).to_have_text("passkey")


def test_a_passkey_is_the_second_factor(page: Page, authenticator: Authenticator) -> None:
    with_passkey(page, authenticator)
    log_out(page)
    type_name_and_password(page)
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    authenticator.touch(touches=True)
    page.keyboard.press("Enter")
    signed_in(page)
    expect(page.locator("#devices tr td").nth(3)).to_have_text("password, passkey")


def test_a_passkey_reauthenticates(
    page: Page, authenticator: Authenticator, service: Service
) -> None:
    with_passkey(page, authenticator)
    age_sessions(service.database_url, days=1 / 100)
    press(page, "Make new ones")
    expect(page.locator("#step-up").get_by_role("button", name="Continue")).to_be_focused()
    authenticator.touch(touches=True)
    page.keyboard.press("Enter")
    assert len(keep_codes(page)) == 10


def test_who_cancels_is_told_so_and_can_try_again(page: Page, authenticator: Authenticator) -> None:
    with_passkey(page, authenticator)
    log_out(page)
    authenticator.verify(verifies=False)
    log_in_by_button(page, authenticator)
    problem_in(page, "#passkey-log-in", "No passkey was used: it was cancelled")
    authenticator.touch(touches=False)
    type_name_and_password(page)
    authenticator.touch(touches=True)
    press(page, "Continue")
    problem_in(page, "#complete-log-in", "No passkey was used: it was cancelled")
    authenticator.verify(verifies=True)
    press(page, "Continue")
    signed_in(page)


def test_an_authenticator_has_one_passkey_of_an_account(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    authenticator.touch(touches=True)
    press(page, "Add a passkey")
    problem_in(page, "#add-passkey", "There is a passkey of your account already")
    expect(page.locator(PASSKEY)).to_have_count(1)


def test_a_passkey_is_renamed(page: Page, authenticator: Authenticator) -> None:
    with_passkey(page, authenticator)
    page.get_by_label("Rename Laptop").press("Enter")
    name = page.locator("#rename-passkey-name")
    type_into(name, "x" * 65)
    expect(page.locator("#rename-passkey-name-error")).to_contain_text("at most 64")
    type_into(name, "<b>key</b>")
    status(page, "The passkey is called “<b>key</b>”.")
    expect(page.locator(f"{PASSKEY} td").first).to_have_text("<b>key</b>")
    expect(page.locator("#passkeys-title")).to_be_focused()


def test_the_new_name_of_the_user_reaches_the_authenticator(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    page.locator("#change-username-username").focus()
    type_into(page.locator("#change-username-username"), "Alicia")
    status(page, "Your user name is Alicia.")
    expect(page.locator("#greeting")).to_have_text("Hello, Alicia")
    assert [each["userName"] for each in authenticator.credentials] == ["Alicia"]


def test_a_removed_passkey_is_forgotten_by_the_authenticator(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    page.get_by_label("Remove Laptop").press("Enter")
    status(page, "The passkey “Laptop” was removed.")
    expect(page.locator("#passkey-table")).to_be_hidden()
    assert authenticator.credentials == []


def test_an_unknown_passkey_is_told_to_the_user_and_to_the_authenticator(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    (credential,) = authenticator.credentials
    page.get_by_label("Remove Laptop").press("Enter")
    status(page, "The passkey “Laptop” was removed.")
    log_out(page)
    authenticator.add(credential)
    log_in_by_button(page, authenticator)
    problem_in(page, "#passkey-log-in", "The account no longer has this passkey.")
    assert authenticator.credentials == []


def test_a_passkey_that_is_refused_otherwise_stays(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    log_out(page)
    (credential,) = authenticator.credentials
    authenticator.remove(credential)
    authenticator.add(credential | {"userHandle": "AAAA"})
    log_in_by_button(page, authenticator)
    problem_in(page, "#passkey-log-in", "The passkey was not accepted.")
    assert len(authenticator.credentials) == 1


def test_who_has_no_password_logs_in_by_passkey_only(
    page: Page, authenticator: Authenticator
) -> None:
    with_passkey(page, authenticator)
    press(page, "Remove the password")
    status(page, "Your password was removed")
    log_out(page)
    type_name_and_password(page)
    problem_in(page, "#log-in", "Incorrect username or password")
    log_in_by_button(page, authenticator)
    signed_in(page)


def test_the_last_way_in_is_kept(page: Page, authenticator: Authenticator) -> None:
    with_passkey(page, authenticator)
    press(page, "Remove the password")
    status(page, "Your password was removed")
    press(page, "Remove the address")
    status(page, "Your address was removed.")
    page.get_by_label("Remove Laptop").press("Enter")
    problem_in(page, "#passkeys", "Without it you could no longer log in")
    expect(page.locator(PASSKEY)).to_have_count(1)
    assert len(authenticator.credentials) == 1


def test_a_password_without_other_ways_in_is_kept(page: Page) -> None:
    log_in(page)
    press(page, "Remove the password")
    problem_in(page, PASSWORD, "you need two passkeys, or a passkey and a verified e-mail address")


def test_a_passkey_beside_an_app_brings_no_new_recovery_codes(
    page: Page, authenticator: Authenticator
) -> None:
    log_in(page)
    set_up_app(page)
    keep_codes(page)
    add_passkey(page, authenticator)
    expect(page.locator("#passkeys-title")).to_be_focused()
    expect(page.locator("#new-recovery-codes")).to_be_hidden()
