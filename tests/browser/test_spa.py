"""The single-page app of the examples, by keyboard, from another origin than the service's."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import served
from tests.browser.test_pages import APP, AUTH, NEIGHBOUR
from tests.databases import execute
from tests.factories import PASSWORD
from tests.services import Service, running

SPA = Path(__file__).parent.parent.parent / "examples" / "spa"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class SPAServer(ThreadingHTTPServer):
    """Serves the files of the app, with the address of a service in the page."""

    service_url = ""


class Files(BaseHTTPRequestHandler):
    """Answers GET with a file of the app."""

    server: SPAServer

    def do_GET(self) -> None:
        path = SPA / (self.path.lstrip("/") or "index.html")
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Type", TYPES.get(path.suffix, "text/plain"))
        self.end_headers()
        if path.is_file():
            text = path.read_text().replace("http://localhost:8000", self.server.service_url)
            self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def spa() -> Iterator[SPAServer]:
    server = SPAServer(("127.0.0.1", 0), Files)
    with served(server):
        yield server


@pytest.fixture
def service(database_url: str, tmp_path: Path, spa: SPAServer) -> Iterator[Service]:
    environment = {
        "OSTIARY_ALLOWED_ORIGINS": f"http://{APP}:{spa.server_address[1]}",
        "OSTIARY_ALLOWED_HOSTS": AUTH,
    }
    with running(database_url, tmp_path / "service.log", environment) as service:
        spa.service_url = service.url.replace("127.0.0.1", AUTH)
        yield service


@pytest.fixture
def page(profile: BrowserContext, spa: SPAServer, service: Service) -> Page:
    page = profile.new_page()
    page.goto(f"http://{APP}:{spa.server_address[1]}/")
    expect(page.locator("#log-in-username")).to_be_focused()
    return page


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


def test_errors_stand_beside_their_fields(page: Page) -> None:
    fill(page, "sign-up", "al", "secret")
    for field in ("username", "password"):
        error = page.locator(f"#sign-up-{field}-error")
        expect(error).to_contain_text("at least")
        described = page.locator(f"#sign-up-{field}")
        expect(described).to_have_attribute("aria-invalid", "true")
        expect(described).to_have_attribute("aria-describedby", f"sign-up-{field}-error")
    expect(page.locator("#sign-up-username")).to_be_focused()


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
    expect(page.locator("#log-out")).to_be_visible()
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
