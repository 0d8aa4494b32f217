"""The page at `/docs` in Chromium. Needs Debian's package chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Response, expect

from service.api.routes import operation_ids
from tests.factories import COOKIE
from tests.services import Service, running


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with running(database_url, tmp_path / "service.log") as service:
        yield service


class DocsPage:
    """The page, used as a person does, with all that it asked for and complained about."""

    def __init__(self, page: Page, service: Service) -> None:
        self.page = page
        self.urls: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{service.url}/docs")
        expect(page.get_by_text("Get the current user")).to_be_visible()

    def operation(self, operation_id: str) -> Locator:
        return self.page.locator(f'.opblock[id$="-{operation_id}"]')

    def execute(self, operation_id: str, example: str | None = None) -> Response:
        """Send the request that the page fills in, and wait until the response is shown."""
        operation = self.operation(operation_id)
        button = operation.get_by_role("button", name="Execute")
        if not button.is_visible():
            operation.locator(".opblock-summary-control").click()
            operation.get_by_role("button", name="Try it out").click()
        if example is not None:
            operation.locator(".examples-select select").first.select_option(label=example)
        with self.page.expect_response(
            lambda answer: answer.request.resource_type == "fetch"
        ) as it:
            button.click()
        shown = operation.locator(".live-responses-table tbody .response-col_status").first
        expect(shown).to_contain_text(str(it.value.status))
        return it.value

    def execute_with(self, operation_id: str, body: str, **parameters: str) -> Response:
        """Send a request with a body, and parameters of the path, that are typed in."""
        operation = self.operation(operation_id)
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        for name, value in parameters.items():
            operation.locator(f'tr[data-param-name="{name}"] input').fill(value)
        operation.locator(".body-param__text").fill(body)
        return self.execute(operation_id)

    def shown_body(self, operation_id: str) -> Any:
        """Return the body of the response, as it can be copied from the page."""
        table = self.operation(operation_id).locator(".live-responses-table")
        return json.loads(table.locator(".highlight-code code").first.inner_text())

    def authorize(self, token: str) -> None:
        self.page.locator("button.authorize").first.click()
        bearer = self.scheme("bearer")
        expect(bearer.get_by_role("textbox")).to_have_count(1)
        bearer.get_by_role("textbox").fill(token)
        bearer.get_by_role("button", name="Apply credentials").click()
        bearer.get_by_role("button", name="Close").click()

    def scheme(self, name: str) -> Locator:
        """Return the part of the dialog for an authentication scheme."""
        code = self.page.locator("code").get_by_text(name, exact=True)
        return self.page.locator(".auth-container", has=self.page.locator("h4", has=code))


@pytest.fixture
def docs(profile: BrowserContext, service: Service) -> DocsPage:
    return DocsPage(profile.new_page(), service)


def names_of_cookies(profile: BrowserContext) -> set[str]:
    return {each["name"] for each in profile.cookies()}


def test_one_uses_the_page_with_a_cookie_and_then_with_a_bearer_token(
    docs: DocsPage, profile: BrowserContext
) -> None:
    assert docs.execute("signUp").status == 201
    by_cookie = docs.execute("getMe")
    assert by_cookie.status == 200
    assert "authorization" not in by_cookie.request.all_headers()
    assert docs.execute("logOut").status == 204
    assert docs.execute("getMe").status == 401
    assert docs.execute("logIn", "In an app or a script").status == 200
    docs.authorize(docs.shown_body("logIn")["session"]["token"])
    by_bearer = docs.execute("getMe")
    assert by_bearer.status == 200
    assert COOKIE not in by_bearer.request.all_headers().get("cookie", "")
    assert COOKIE not in names_of_cookies(profile)
    assert docs.shown_body("getMe")["user"]["username"] == "Alice"


def test_the_requests_that_the_page_fills_in_succeed_from_sign_up_to_deletion(
    docs: DocsPage,
) -> None:
    filled_in = ["signUp", "logIn", "getMe", "listSessions", "endOtherSessions", "changePassword"]
    statuses = [docs.execute(each).status for each in (*filled_in, "deleteMe")]
    assert statuses == [201, 200, 200, 200, 200, 200, 204]


def test_the_operations_stand_in_the_order_of_a_life(docs: DocsPage) -> None:
    shown = [each.get_attribute("id") or "" for each in docs.page.locator(".opblock").all()]
    assert [each.rpartition("-")[2] for each in shown] == operation_ids()


def test_the_dialog_says_how_each_token_is_sent(docs: DocsPage) -> None:
    docs.page.locator("button.authorize").first.click()
    for scheme, text in (("bearer", "session.token"), ("cookie", "there is nothing to enter")):
        expect(docs.scheme(scheme)).to_contain_text(text)


def test_the_page_asks_only_its_own_origin_and_works_under_its_policy(
    docs: DocsPage, service: Service
) -> None:
    docs.execute("getHealth")
    foreign = [url for url in docs.urls if not url.startswith((f"{service.url}/", "data:"))]
    assert foreign == []
    assert docs.complaints == []


def test_the_page_fits_a_narrow_screen(docs: DocsPage) -> None:
    docs.page.set_viewport_size({"width": 400, "height": 800})
    docs.execute("signUp")
    assert docs.page.evaluate("document.documentElement.scrollWidth") <= 400
