"""The app on ``localhost``, which may use passkeys, a virtual authenticator, and a phone.

An IP address is no domain for passkeys, and any other name needs https.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.spa.conftest import open_app, running_for_app, status, type_into
from tests.browser.spa.server import SPAServer
from tests.databases import execute
from tests.flows.conftest import NEW_PASSWORD
from tests.services import Service
from tests.smtp_server import SMTPServer

HOST = "localhost"


@pytest.fixture
def service(
    database_url: str, tmp_path: Path, spa: SPAServer, smtp: SMTPServer
) -> Iterator[Service]:
    log = tmp_path / "service.log"
    with running_for_app(database_url, log, spa, smtp, page=HOST, service=HOST) as service:
        yield service


@pytest.fixture
def page(profile: BrowserContext, spa: SPAServer, client: httpx.Client) -> Iterator[Page]:
    with open_app(profile, spa, HOST) as page:
        yield page


class Authenticator:
    """A virtual authenticator of a page, which keeps passkeys and verifies its user."""

    def __init__(self, page: Page) -> None:
        self._devtools = page.context.new_cdp_session(page)
        self._send("enable", enableUI=False)
        options = {
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "defaultBackupEligibility": True,
            "defaultBackupState": True,
        }
        self._id = self._send("addVirtualAuthenticator", options=options)["authenticatorId"]
        self.touch(touches=False)

    def touch(self, *, touches: bool) -> None:
        """Let the user answer whatever the browser asks for, or leave it waiting."""
        self._send_own("setAutomaticPresenceSimulation", enabled=touches)

    def verify(self, *, verifies: bool) -> None:
        """Let the user be recognised by it, or not."""
        self._send_own("setUserVerified", isUserVerified=verifies)

    @property
    def credentials(self) -> list[dict[str, Any]]:
        """Its passkeys."""
        found: list[dict[str, Any]] = self._send_own("getCredentials")["credentials"]
        return found

    def add(self, credential: dict[str, Any]) -> None:
        """Give it a passkey, as a password manager gets one from another device."""
        self._send_own("addCredential", credential=credential)

    def remove(self, credential: dict[str, Any]) -> None:
        self._send_own("removeCredential", credentialId=credential["credentialId"])

    def _send_own(self, method: str, **fields: object) -> dict[str, Any]:
        return self._send(method, authenticatorId=self._id, **fields)

    def _send(self, method: str, **fields: object) -> dict[str, Any]:
        answer: dict[str, Any] = self._devtools.send(f"WebAuthn.{method}", fields)
        return answer


@pytest.fixture
def authenticator(page: Page) -> Authenticator:
    return Authenticator(page)


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).press("Enter")


def problem_in(page: Page, place: str, text: str) -> None:
    expect(page.locator(f"{place} [role=alert]").first).to_contain_text(text)


def signed_in(page: Page) -> None:
    expect(page.locator("#greeting")).to_have_text("Hello, Alice")


def log_out(page: Page) -> None:
    press(page, "Log out")
    status(page, "You are logged out.")


def type_name_and_password(page: Page, password: str = NEW_PASSWORD) -> None:
    page.locator("#log-in-username").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Alice")
    page.keyboard.press("Tab")
    type_into(page.locator("#log-in-password"), password)


def keep_codes(page: Page) -> list[str]:
    """Read the recovery codes, and say so."""
    expect(page.locator("#new-recovery-codes-title")).to_be_focused()
    codes = page.locator("#new-codes li").all_inner_texts()
    press(page, "I have kept them")
    expect(page.locator("#recovery-codes-title")).to_be_focused()
    expect(page.locator("#new-codes li")).to_have_count(0)
    return codes


def set_up_app(page: Page) -> pyotp.TOTP:
    """Set up an authenticator app. Return it: the recovery codes are shown."""
    press(page, "Set up an app")
    code = page.locator("#confirm-app-code")
    expect(code).to_be_focused()
    phone = pyotp.parse_uri(page.locator("#app-uri").get_attribute("href") or "")
    assert isinstance(phone, pyotp.TOTP)
    assert page.locator("#app-secret").inner_text().replace(" ", "") == phone.secret
    type_into(code, phone.now())
    status(page, "Your authenticator app is set up.")
    return phone


def add_passkey(page: Page, authenticator: Authenticator, name: str = "Laptop") -> None:
    """Add a passkey."""
    authenticator.touch(touches=True)
    page.locator("#add-passkey-name").focus()
    type_into(page.locator("#add-passkey-name"), name)
    status(page, f"The passkey “{name}” was added.")
    authenticator.touch(touches=False)


def next_code(service: Service, phone: pyotp.TOTP) -> str:
    """Return a code of the app that was not used, as if time had passed."""
    execute(service.database_url, "UPDATE totp SET last_step = 0")
    return phone.now()


def choose(page: Page, form: str, method: str) -> None:
    """Choose a method of a form with the arrow keys, and go on to its field."""
    radio = page.locator(f"#{form} input[value={method}]")
    page.locator(f"#{form} input[name=method]:checked").focus()
    while not radio.is_checked():
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
