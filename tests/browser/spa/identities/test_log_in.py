"""Log-in and sign-up at a provider."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.provider.process import Provider, answer, consent, give_name, name_field
from tests.browser.spa.conftest import status, type_into
from tests.browser.spa.factors.conftest import (
    keep_codes,
    log_out,
    next_code,
    press,
    problem_in,
    set_up_app,
)
from tests.browser.spa.identities.conftest import greeted, log_out_at_providers, sign_up_at
from tests.browser.spa.server import SPAServer
from tests.databases import fetch
from tests.invitations import invite
from tests.services import Service


def users_of(service: Service) -> int:
    """Return how many users there are."""
    return len(fetch(service.database_url, 'SELECT FROM "user"'))


def history_of(page: Page) -> list[str]:
    """Return the addresses to which "back" and "forward" lead."""
    devtools = page.context.new_cdp_session(page)
    entries = devtools.send("Page.getNavigationHistory")["entries"]
    return [entry["url"] for entry in entries]


@pytest.mark.parametrize("provider", ["Corp", "Club"])
def test_one_signs_up_and_logs_in(page: Page, provider: str) -> None:
    press(page, f"Log in with {provider}")
    consent(page, "alice")
    known = page.locator("#provider-account")
    expect(known).to_have_text(f"You are logged in at {provider} as alice, alice@provider.example.")
    type_into(page.locator("#provider-sign-up-username"), "Alicia")
    greeted(page, "Alicia")
    expect(page.locator("#email")).to_contain_text("None")
    log_out(page)
    press(page, f"Log in with {provider}")
    greeted(page, "Alicia")
    expect(page.locator("#devices tr td").nth(3)).to_have_text(provider)


def test_the_code_stays_in_no_address(page: Page) -> None:
    press(page, "Log in with Corp")
    consent(page, "alice")
    expect(page.locator("#provider-sign-up-username")).to_be_focused()
    assert [url for url in history_of(page) if "code=" in url or "state=" in url] == []
    page.keyboard.press("Enter")
    greeted(page, "alice")
    assert page.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]
    assert page.evaluate("document.cookie") == ""


def test_the_back_button_leads_to_the_account(page: Page, spa: SPAServer) -> None:
    app = page.url
    sign_up_at(page)
    for _ in range(history_of(page).index(app) - len(history_of(page)) + 1, 0):
        page.go_back()
    assert page.url == app
    greeted(page, "alice")


def test_a_callback_that_is_opened_again_changes_nothing(page: Page) -> None:
    press(page, "Log in with Corp")
    give_name(page, "alice")
    with page.expect_request("**/callback/corp.html?*") as callback:
        answer(page, "Allow")
    expect(page.locator("#provider-sign-up-username")).to_be_focused()
    page.keyboard.press("Enter")
    greeted(page, "alice")
    page.goto(callback.value.url)
    status(page, "That was completed already")
    greeted(page, "alice")


def test_who_cancels_at_the_provider_is_told_that_nothing_was_changed(page: Page) -> None:
    press(page, "Log in with Corp")
    answer(page, "Cancel")
    status(page, "You did not continue at Corp: nothing was changed.")
    expect(page.locator("#log-in-username")).to_be_focused()
    sign_up_at(page)


def test_who_refuses_consent_is_told_that_nothing_was_changed(page: Page, service: Service) -> None:
    press(page, "Log in with Corp")
    give_name(page, "alice")
    answer(page, "Refuse")
    status(page, "You did not continue at Corp: nothing was changed.")
    assert users_of(service) == 0


def test_what_the_provider_tells_is_shown_as_text(page: Page) -> None:
    press(page, "Log in with Corp")
    consent(page, "<b>mallory</b>")
    expect(page.locator("#provider-account")).to_contain_text("as <b>mallory</b>,")
    type_into(page.locator("#provider-sign-up-username"), "mallory")
    greeted(page, "mallory")
    expect(page.locator("#identity-rows td").first).to_have_text("Corp: <b>mallory</b>")


def test_a_user_name_that_is_taken_is_told_and_another_one_may_follow(
    page: Page, service: Service
) -> None:
    sign_up_at(page)
    log_out(page)
    log_out_at_providers(page)
    press(page, "Log in with Corp")
    consent(page, "robert")
    type_into(page.locator("#provider-sign-up-username"), "alice")
    problem_in(page, "#provider-sign-up", "already taken")
    type_into(page.locator("#provider-sign-up-username"), "robert")
    greeted(page, "robert")
    assert users_of(service) == 2


def test_the_second_factor_is_asked_for_afterwards(page: Page, service: Service) -> None:
    sign_up_at(page)
    phone = set_up_app(page)
    keep_codes(page)
    log_out(page)
    press(page, "Log in with Corp")
    type_into(page.locator("#second-factor-totp"), next_code(service, phone))
    greeted(page, "alice")
    expect(page.locator("#devices")).to_contain_text("Corp, authenticator app")


def test_two_tabs_log_in_at_once(page: Page) -> None:
    sign_up_at(page)
    log_out(page)
    log_out_at_providers(page)
    other = page.context.new_page()
    other.goto(page.url)
    for tab in (page, other):
        press(tab, "Log in with Corp")
        expect(name_field(tab)).to_be_visible()
    consent(other, "alice")
    greeted(other, "alice")
    # The provider was told already that it may tell.
    give_name(page, "alice")
    greeted(page, "alice")


def test_a_provider_that_cannot_be_reached_is_told_beside_its_button(page: Page) -> None:
    press(page, "Log in with Gone")
    problem_in(page, "#provider-log-in", "The provider cannot be reached. Try again in")
    sign_up_at(page)


def test_a_new_key_of_the_provider_is_found(page: Page, corp: Provider) -> None:
    sign_up_at(page)
    log_out(page)
    corp.rotate_key()
    press(page, "Log in with Corp")
    consent(page, "alice")
    greeted(page, "alice")


def test_a_link_cannot_choose_what_the_page_asks_for(page: Page) -> None:
    sign_up_at(page)
    app = page.url
    page.goto("about:blank")
    page.goto(f"{app}#callback=../../logout?&code=x&state=y")
    greeted(page, "alice")


@pytest.mark.parametrize("more", [{"OSTIARY_SIGN_UP": "invited"}])
def test_the_invitation_is_kept_on_the_way(page: Page, service: Service) -> None:
    page.goto(f"{page.url}#invitation={invite(service.database_url)}")
    page.get_by_text("sign up with a user name").press("Enter")
    sign_up_at(page)


@pytest.mark.parametrize("more", [{"OSTIARY_SIGN_UP": "closed"}])
def test_one_is_told_that_sign_up_is_closed(page: Page) -> None:
    press(page, "Log in with Corp")
    consent(page, "alice")
    status(page, "Sign-up is closed.")
