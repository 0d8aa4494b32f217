"""An allowed page and foreign pages in Chromium. Needs Debian's package chromium."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import served
from tests.factories import COOKIE, PASSWORD, sessions_in
from tests.services import Service, running

APP = "app.ostiary.test"
AUTH = "auth.ostiary.test"
# A page of another site, from which browsers send no cookie that is Lax, and one of the same site,
# from which they do.
STRANGER, NEIGHBOUR = "evil.example", "evil.ostiary.test"

DEVICE_COOKIE = "auth_device"

CALL = """
async ([url, method, body]) => {
    const json = body === null ? {} : {
        body: JSON.stringify(body), headers: {"Content-Type": "application/json"},
    };
    try {
        const answer = await fetch(url, {method, credentials: "include", ...json});
        const text = await answer.text();
        return {
            status: answer.status,
            body: text ? JSON.parse(text) : null,
            requestId: answer.headers.get("X-Request-ID"),
            retryAfter: answer.headers.get("Retry-After"),
        };
    } catch (error) {
        return {refused: error.name};
    }
}
"""

# What a page can send without asking first: no JSON, and no look at the answer.
SEND_BLINDLY = """
async ([url, body]) => {
    const sent = {method: "POST", mode: "no-cors", credentials: "include", body};
    return fetch(url, sent).then((answer) => answer.type, (error) => error.name);
}
"""

# A form that is nearly JSON: {"username": "Mallory", "password": "…", "x": "="}
POST_FORM = """
([url, fields, enctype]) => {
    const form = document.createElement("form");
    form.method = "post"; form.action = url; form.enctype = enctype;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        input.name = name; input.value = value; form.append(input);
    }
    document.body.append(form);
    form.submit();
}
"""


class EmptyPages(SimpleHTTPRequestHandler):
    """Answers every request with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pages_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(EmptyPages))
    with served(server):
        yield server.server_address[1]


@pytest.fixture
def service(database_url: str, tmp_path: Path, pages_port: int) -> Iterator[Service]:
    environment = {
        "OSTIARY_ALLOWED_ORIGINS": f"http://{APP}:{pages_port}",
        "OSTIARY_ALLOWED_HOSTS": AUTH,
    }
    with running(database_url, tmp_path / "service.log", environment) as service:
        yield service


class Pages:
    """Opens pages, and calls the service from them."""

    def __init__(self, profile: BrowserContext, port: int, service: Service) -> None:
        self._profile = profile
        self._port = port
        self.url = service.url.replace("127.0.0.1", AUTH)

    def open(self, host: str) -> Page:
        page = self._profile.new_page()
        page.goto(f"http://{host}:{self._port}/")
        return page

    def call(self, page: Page, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer: dict[str, Any] = page.evaluate(CALL, [self.url + path, method, body])
        return answer


@pytest.fixture
def pages(profile: BrowserContext, pages_port: int, service: Service) -> Pages:
    return Pages(profile, pages_port, service)


@pytest.fixture
def app(pages: Pages) -> Page:
    """Return the allowed page, where Alice has signed up."""
    page = pages.open(APP)
    body = {"username": "Alice", "password": PASSWORD}
    assert pages.call(page, "POST", "/signup", body)["status"] == 201
    return page


def names_of_cookies(profile: BrowserContext) -> set[str]:
    return {each["name"] for each in profile.cookies()}


def test_an_allowed_page_can_use_every_endpoint(
    pages: Pages, app: Page, profile: BrowserContext
) -> None:
    me = pages.call(app, "GET", "/me")
    assert (me["status"], me["body"]["user"]["username"]) == (200, "Alice")
    assert len(me["requestId"]) == 32
    assert names_of_cookies(profile) == {COOKIE, DEVICE_COOKIE}
    for cookie in profile.cookies():
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert app.evaluate("document.cookie") == ""
    assert pages.call(app, "GET", "/sessions")["body"]["sessions"][0]["current"] is True
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    assert pages.call(app, "PUT", "/me/password", change)["status"] == 200
    assert pages.call(app, "POST", "/logout")["status"] == 204
    assert names_of_cookies(profile) == {DEVICE_COOKIE}
    assert pages.call(app, "GET", "/me")["status"] == 401
    body = {"username": "alice", "password": "an entirely different one"}
    assert pages.call(app, "POST", "/login", body)["status"] == 200
    assert pages.call(app, "DELETE", "/me", {"password": body["password"]})["status"] == 204
    assert names_of_cookies(profile) == {DEVICE_COOKIE}


def test_an_allowed_page_can_read_retry_after(pages: Pages) -> None:
    page = pages.open(APP)
    body = {"username": "Nobody", "password": "wrong"}
    answers = [pages.call(page, "POST", "/login", body) for _ in range(11)]
    assert [answer["status"] for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1]["retryAfter"]) > 0


@pytest.mark.parametrize("host", [STRANGER, NEIGHBOUR])
@pytest.mark.usefixtures("app")
def test_a_foreign_page_can_neither_read_nor_change_anything(
    pages: Pages, service: Service, host: str
) -> None:
    before = sessions_in(service.database_url)
    evil = pages.open(host)
    log_in = {"username": "Alice", "password": PASSWORD}
    for method, path, body in (
        ("GET", "/me", None),
        ("GET", "/sessions", None),
        ("POST", "/logout", None),
        ("DELETE", "/sessions", None),
        ("DELETE", "/me", {"password": PASSWORD}),
        ("POST", "/login", log_in),
    ):
        assert pages.call(evil, method, path, body) == {"refused": "TypeError"}
    for path in ("/logout", "/login", "/signup"):
        assert evil.evaluate(SEND_BLINDLY, [pages.url + path, "{}"]) == "TypeError"
    assert sessions_in(service.database_url) == before


@pytest.mark.parametrize("host", [STRANGER, NEIGHBOUR])
@pytest.mark.parametrize("path", ["/logout", "/login"])
@pytest.mark.parametrize("enctype", ["text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.usefixtures("app")
def test_a_form_on_a_foreign_page_is_refused(
    pages: Pages, service: Service, host: str, path: str, enctype: str
) -> None:
    before = sessions_in(service.database_url)
    evil = pages.open(host)
    fields = {f'{{"username": "Alice", "password": "{PASSWORD}", "x': '": 1}'}
    with evil.expect_navigation() as navigation:
        evil.evaluate(POST_FORM, [pages.url + path, dict.fromkeys(fields, '": 1}'), enctype])
    answer = navigation.value
    assert answer.status == 403
    assert answer.json()["code"] == "origin_rejected"
    assert sessions_in(service.database_url) == before


@pytest.mark.usefixtures("app")
def test_a_page_with_a_null_origin_is_refused(pages: Pages, service: Service) -> None:
    """A sandboxed frame calls its origin ``null``; so does any page that wants to hide."""
    before = sessions_in(service.database_url)
    evil = pages.open(NEIGHBOUR)
    evil.evaluate(
        """([url, call]) => new Promise((resolve) => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            frame.srcdoc = `<script>fetch("${url}", {method: "POST", mode: "no-cors",
                credentials: "include"}).finally(() => parent.postMessage("done", "*"))</script>`;
            addEventListener("message", resolve, {once: true});
            document.body.append(frame);
        })""",
        [f"{pages.url}/logout", CALL],
    )
    assert sessions_in(service.database_url) == before


@pytest.mark.usefixtures("app")
def test_a_foreign_page_cannot_frame_the_service(pages: Pages) -> None:
    evil = pages.open(NEIGHBOUR)
    evil.set_content(f'<iframe src="{pages.url}/docs"></iframe>')
    frame = evil.frames[1]
    frame.wait_for_load_state()
    assert frame.locator("#page").count() == 0


def test_the_documentation_page_works_under_its_content_security_policy(
    service: Service, profile: BrowserContext
) -> None:
    page = profile.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto(f"{service.url}/docs")
    page.get_by_text("Get the current user").wait_for()
    assert complaints == []
