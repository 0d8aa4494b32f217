"""What users and clients write themselves, in mails to others: it leads nowhere."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.databases import wait_until
from tests.factories import bearer
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    opened,
    request_reset,
    sign_up_by_email,
    user_with_address,
    verify_sign_up,
)
from tests.services import Service
from tests.smtp_server import Received

USERNAME = "https.evil.example/x"
TEXTS = {
    "link": "Log in at https://evil.example/x",
    "html": "<a href=//evil.example>click</a>",
    "address": "call me@evil.example",
    "quotes": """"><img src=x onerror=alert(1)> '{{ site }}'""",
    "long": "https://evil.example/" * 3,
}

# Only in the header: a device name with them is refused.
BYTES = {
    "controls": b"x\xc2\x9b31mhttps://evil.example",
    "directions": "\u202emoc.elpmaxe\u202c https://evil.example \u2066".encode(),
    "four kilobytes": b"https://evil.example/" * 190,
}

ALLOWED = re.compile(r"https://app\.example\.com/[a-z]+#token=[A-Za-z0-9_-]{64}")


def leads_nowhere(mail: Received) -> None:
    """Check that the only links of a mail are ours, and that it has no markup but ours."""
    assert mail.message["Subject"].isprintable()
    assert "evil" not in mail.message["Subject"]
    assert [name.lower() for name in mail.message].count("bcc") == 0
    plain, html = mail.part("plain"), mail.part("html")
    for part in (plain, html):
        assert "://" not in ALLOWED.sub("", part)
        assert "@evil" not in part
        assert USERNAME not in part
        assert all(char.isprintable() or char in "\n\r" for char in part)
    links = re.findall(r'<a [^>]*href="([^"]*)"', html)
    assert html.count("<a ") == len(links)
    assert all(ALLOWED.fullmatch(link) for link in links)
    assert "<img" not in html
    for line in plain.splitlines():
        if line.startswith("Device: "):
            assert len(line) <= len("Device: ") + 60


def change_everything(client: httpx.Client, session: dict[str, str]) -> dict[str, str]:
    """Do what users are told of. Return the header of the session afterwards."""
    body = {"current_password": NEW_PASSWORD, "new_password": "a third and longer passphrase"}
    changed = client.put("/me/password", json=body, headers=session)
    session = bearer(changed.json()["session"]["token"])
    assert client.get("/me/export", headers=session).is_success
    assert client.put("/me/email", json={"email": "new@example.org"}, headers=session).is_success
    assert client.delete("/me/email", headers=session).is_success
    return session


def all_lead_nowhere(service: Service, mailboxes: Mailboxes, number: int) -> None:
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM reset_request)")
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    mails = mailboxes._smtp.mails
    assert len(mails) == number
    for each in mails:
        leads_nowhere(each)


@pytest.mark.parametrize("text", [*TEXTS.values(), *BYTES.values()], ids=[*TEXTS, *BYTES])
def test_no_user_agent_leads_anywhere(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, text: str | bytes
) -> None:
    client.headers["User-Agent"] = text if isinstance(text, str) else text.decode("latin-1")
    session = user_with_address(client, mailboxes, username=USERNAME)
    sign_up_by_email(client)
    request_reset(client, ALICE)
    mailboxes.token(ALICE, "Reset")
    change_everything(client, session)
    assert "Device: " in mailboxes.newest(ALICE, "Your address was removed").part("plain")
    all_lead_nowhere(service, mailboxes, 8)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_device_name_leads_anywhere(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, text: str
) -> None:
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    opened(verify_sign_up(client, challenge, code, device_name=text))
    body = {
        "username": ALICE,
        "password": NEW_PASSWORD,
        "transport": "bearer",
        "device_name": text,
        "device_token": "",
    }
    for _ in range(2):
        client.cookies.clear()
        assert client.post("/login", json=body).is_success
    mail = mailboxes.newest(ALICE, "new device")
    assert "Device: " in mail.part("plain")
    leads_nowhere(mail)
