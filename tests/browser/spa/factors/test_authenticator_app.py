"""An authenticator app and recovery codes, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.spa.conftest import follow_link, log_in, status, type_into
from tests.browser.spa.factors.conftest import (
    choose,
    keep_codes,
    log_out,
    next_code,
    press,
    problem_in,
    set_up_app,
    signed_in,
    type_name_and_password,
)
from tests.databases import execute
from tests.factories import REMOVE_PASSWORDS, age_sessions
from tests.flows.conftest import ALICE, NEW_PASSWORD, Mailboxes, log_in_by
from tests.services import Service

CODE = "#second-factor-totp"
THIRD = "a third and longer passphrase"

pytestmark = pytest.mark.usefixtures("alice")


def wrong_code(right: str) -> str:
    return f"{(int(right) + 1) % 10**6:06}"


def send_codes(page: Page, code: str, *, times: int) -> None:
    """Type a code so often, each time once the one before was answered."""
    for _ in range(times):
        type_into(page.locator(CODE), code)
        expect(page.get_by_role("button", name="Continue")).to_be_enabled()


def test_one_sets_up_an_app_and_logs_in_with_its_code(page: Page, service: Service) -> None:
    log_in(page)
    phone = set_up_app(page)
    assert len(set(keep_codes(page))) == 10
    expect(page.locator("#app-state")).to_contain_text("Set up")
    expect(page.locator("#recovery-codes-left")).to_contain_text("10 are left")
    log_out(page)
    type_name_and_password(page)
    right = next_code(service, phone)
    type_into(page.locator(CODE), "12345")
    expect(page.locator(f"{CODE}-error")).to_have_text("A code has 6 digits.")
    type_into(page.locator(CODE), wrong_code(right))
    problem_in(page, "#complete-log-in", "The code is wrong")
    type_into(page.locator(CODE), right)
    signed_in(page)
    expect(page.locator("#devices")).to_contain_text("password, authenticator app")


def test_a_recovery_code_stands_in_for_the_app_once(page: Page) -> None:
    log_in(page)
    set_up_app(page)
    codes = keep_codes(page)
    for attempt in (1, 2):
        log_out(page)
        type_name_and_password(page)
        expect(page.locator(CODE)).to_be_focused()
        choose(page, "complete-log-in", "recovery_code")
        field = page.locator("#second-factor-recovery")
        if attempt == 2:
            type_into(field, codes[0])
            problem_in(page, "#complete-log-in", "was used already")
        type_into(field, codes[attempt - 1].lower())
        signed_in(page)
    expect(page.locator("#recovery-codes-left")).to_contain_text("8 are left")
    press(page, "Make new ones")
    assert not set(keep_codes(page)) & set(codes)
    expect(page.locator("#recovery-codes-left")).to_contain_text("10 are left")


def test_recovery_codes_are_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(page)
    set_up_app(page)
    press(page, "Copy the codes")
    status(page, "were copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.split() == page.locator("#new-codes li").all_inner_texts()


def test_too_many_wrong_answers_lead_back_to_the_log_in(page: Page, service: Service) -> None:
    log_in(page)
    phone = set_up_app(page)
    log_out(page)
    type_name_and_password(page)
    wrong = wrong_code(next_code(service, phone))
    send_codes(page, wrong, times=4)
    problem_in(page, "#complete-log-in", "The code is wrong")
    send_codes(page, wrong, times=1)
    problem_in(page, "#complete-log-in", "begin again")
    press(page, "Begin again")
    expect(page.locator("#log-in-username")).to_be_focused()


def test_who_typed_too_many_wrong_codes_is_told_to_use_another_method(
    page: Page, service: Service
) -> None:
    log_in(page)
    phone = set_up_app(page)
    codes = keep_codes(page)
    log_out(page)
    wrong = wrong_code(next_code(service, phone))
    for _ in range(2):
        type_name_and_password(page)
        send_codes(page, wrong, times=5)
        press(page, "Begin again")
    type_name_and_password(page)
    type_into(page.locator(CODE), wrong)
    problem_in(page, "#complete-log-in", "use another method, or wait. Try again in")
    choose(page, "complete-log-in", "recovery_code")
    type_into(page.locator("#second-factor-recovery"), codes[0])
    signed_in(page)


def test_a_change_asks_for_the_app_when_the_last_proof_is_old(page: Page, service: Service) -> None:
    log_in(page)
    phone = set_up_app(page)
    keep_codes(page)
    age_sessions(service.database_url, days=1 / 100)
    press(page, "Remove the app")
    code = page.locator("#reauthenticate-totp")
    type_into(code, wrong_code(next_code(service, phone)))
    problem_in(page, "#reauthenticate", "The code is wrong")
    type_into(code, phone.now())
    status(page, "Your authenticator app was removed.")
    expect(page.locator("#app-title")).to_be_focused()
    expect(page.locator("#renew-recovery-codes")).to_be_hidden()
    log_out(page)
    type_name_and_password(page)
    signed_in(page)


def test_a_change_asks_for_a_mailed_code_without_password_and_factor(
    page: Page, service: Service, mailboxes: Mailboxes
) -> None:
    log_in(page)
    age_sessions(service.database_url, days=1 / 100)
    execute(service.database_url, REMOVE_PASSWORDS)
    press(page, "Set up an app")
    type_into(page.locator("#reauthenticate-email"), mailboxes.code(ALICE, number=2))
    expect(page.locator("#confirm-app-code")).to_be_focused()


def test_a_set_up_that_is_given_up_leaves_nothing(page: Page) -> None:
    log_in(page)
    press(page, "Set up an app")
    expect(page.locator("#confirm-app-code")).to_be_focused()
    page.locator("#cancel-app").press("Enter")
    expect(page.locator("#set-up-app")).to_be_focused()
    expect(page.locator("#confirm-app")).to_be_hidden()
    expect(page.locator("#app-secret")).to_be_empty()
    log_out(page)
    type_name_and_password(page)
    signed_in(page)


def test_a_new_password_is_set_once_the_second_factor_was_given(
    page: Page, service: Service, mailboxes: Mailboxes
) -> None:
    log_in(page)
    phone = set_up_app(page)
    log_out(page)
    page.get_by_text("Forgot your password?").first.press("Enter")
    type_into(page.locator("#request-reset-identifier"), ALICE)
    follow_link(page, mailboxes.newest(ALICE, "Reset"))
    type_into(page.locator("#confirm-reset-new_password"), THIRD)
    expect(page.locator(CODE)).to_be_focused()
    assert "#" not in page.url
    with service.client() as client:
        assert log_in_by(client, "Alice", THIRD).json()["code"] == "invalid_credentials"
        assert log_in_by(client, "Alice", NEW_PASSWORD).json()["code"] == "second_factor_required"
        type_into(page.locator(CODE), next_code(service, phone))
        status(page, "Your new password is set.")
        signed_in(page)
        assert log_in_by(client, "Alice", THIRD).json()["code"] == "second_factor_required"
