"""Accounts at providers that are linked, unlinked, and that prove a user again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.provider.process import answer, consent, give_name
from tests.browser.spa.conftest import log_in, status, type_into
from tests.browser.spa.factors.conftest import log_out, press, problem_in
from tests.browser.spa.identities.conftest import (
    greeted,
    link,
    sign_up_at,
)
from tests.factories import age_sessions
from tests.flows.conftest import NEW_PASSWORD
from tests.services import Service

IDENTITY = "#identity-rows tr"


def unlink(page: Page, name: str) -> None:
    page.get_by_label(f"Unlink {name}").press("Enter")


@pytest.mark.usefixtures("alice")
def test_an_account_is_linked_logs_in_and_is_unlinked(page: Page) -> None:
    log_in(page)
    expect(page.locator("#identity-table")).to_be_hidden()
    link(page, "Corp", "al")
    status(page, "Your account at Corp was linked")
    expect(page.locator("#identities-title")).to_be_focused()
    cells = page.locator(f"{IDENTITY} td").all_inner_texts()
    assert (cells[0], cells[2]) == ("Corp: al", "never")
    log_out(page)
    press(page, "Log in with Corp")
    greeted(page, "Alice")
    unlink(page, "al at Corp")
    # Who has a password proves it before a change: what a provider says is not enough.
    type_into(page.locator("#reauthenticate-password"), NEW_PASSWORD)
    status(page, "Your account at Corp was unlinked.")
    expect(page.locator("#identity-table")).to_be_hidden()
    log_out(page)
    press(page, "Log in with Corp")
    expect(page.locator("#provider-sign-up")).to_be_visible()


def test_the_last_way_in_is_kept(page: Page) -> None:
    sign_up_at(page, "Corp", "alice")
    unlink(page, "alice at Corp")
    problem_in(page, "#identities", "Without it you could no longer log in")
    link(page, "Club", "al")
    status(page, "Your account at Club was linked")
    unlink(page, "alice at Corp")
    status(page, "Your account at Corp was unlinked.")
    expect(page.locator(IDENTITY)).to_have_count(1)
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.usefixtures("alice")
def test_an_account_of_somebody_else_is_not_linked(page: Page) -> None:
    sign_up_at(page, "Corp", "robert")
    log_out(page)
    log_in(page)
    press(page, "Link an account at Corp")
    status(page, "This account at Corp is linked to another account here")
    greeted(page, "Alice")
    expect(page.locator("#identity-table")).to_be_hidden()


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("button", ["Cancel", "Refuse"])
def test_who_does_not_continue_links_nothing(page: Page, button: str) -> None:
    log_in(page)
    press(page, "Link an account at Corp")
    if button == "Refuse":
        give_name(page, "al")
    answer(page, button)
    status(page, "You did not continue at Corp: nothing was changed.")
    greeted(page, "Alice")
    expect(page.locator("#identity-table")).to_be_hidden()


@pytest.mark.usefixtures("alice")
def test_a_link_asks_for_a_recent_proof_first(page: Page, service: Service) -> None:
    log_in(page)
    age_sessions(service.database_url, days=1 / 100)
    press(page, "Link an account at Corp")
    expect(page.locator("#reauthenticate-password")).to_be_focused()
    page.keyboard.press("Escape")
    status(page, "Nothing was changed.")


def test_the_provider_proves_a_user_who_has_nothing_else(page: Page, service: Service) -> None:
    sign_up_at(page, "Corp", "alice")
    age_sessions(service.database_url, days=1 / 100)
    press(page, "Set up an app")
    expect(page.locator("#step-up")).to_contain_text("You log in at Corp once more")
    press(page, "Continue")
    # At which the user is logged in, but is asked for again.
    give_name(page, "alice")
    status(page, "Thank you.")
    press(page, "Set up an app")
    expect(page.locator("#confirm-app-code")).to_be_focused()


def test_another_account_at_the_provider_proves_nothing(page: Page, service: Service) -> None:
    sign_up_at(page, "Corp", "alice")
    age_sessions(service.database_url, days=1 / 100)
    press(page, "Set up an app")
    press(page, "Continue")
    consent(page, "robert")
    status(page, "What Corp answered was not accepted")
    greeted(page, "alice")
    press(page, "Set up an app")
    expect(page.locator("#step-up")).to_be_visible()


def test_who_cancels_the_step_up_changes_nothing(page: Page, service: Service) -> None:
    sign_up_at(page, "Corp", "alice")
    age_sessions(service.database_url, days=1 / 100)
    press(page, "Set up an app")
    press(page, "Continue")
    answer(page, "Cancel")
    status(page, "You did not continue at Corp: nothing was changed.")
    press(page, "Set up an app")
    expect(page.locator("#step-up")).to_be_visible()
