"""While mails wait, the database holds nothing that opens anything, in whatever form."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256

import httpx
import pytest

from tests.databases import execute, fetch, fetch_value, wait_until
from tests.factories import REMOVE_PASSWORDS, bearer, service_token
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    request_reset,
    sign_up_by_email,
    user_with_address,
)
from tests.services import Service
from tests.smtp_server import SMTPServer

NEW, SOMEBODY = "alice@new.example.org", "somebody@example.org"
GUEST = "guest@example.org"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


def dump(database_url: str) -> str:
    """Return every row of every table, as text and, for what is bytes, as it is too."""
    lines = []
    for (table,) in fetch(database_url, TABLES):
        for row in fetch(database_url, f'SELECT * FROM "{table}"'):
            for value in row.values():
                raw = value if isinstance(value, bytes) else str(value).encode()
                lines.append(raw.decode("latin-1"))
    return "\n".join(lines)


def forms_of(text: str) -> Iterator[str]:
    """Return a code, or a token or part of one, in all forms in which it could be kept."""
    for raw in (text.encode(), *([urlsafe_b64decode(text)[16:]] if len(text) == 64 else [])):
        yield raw.decode("latin-1")
        yield raw.hex()
        yield b64encode(raw).decode().rstrip("=")
        yield urlsafe_b64encode(raw).decode().rstrip("=")


def hashes_of(code: str, row: dict[str, object]) -> Iterator[bytes]:
    """Return what a code hashes to with what stands beside it: all 10^8 are tried in a minute."""
    for salt in (b"", *(str(value).encode() for value in row.values())):
        yield sha256(code.encode() + salt).digest()
        yield sha256(salt + code.encode()).digest()


@pytest.fixture
def refusing(shared_smtp: SMTPServer) -> Iterator[SMTPServer]:
    """Return a server that takes nothing until its replies are cleared."""
    yield shared_smtp
    shared_smtp.rcpt_replies.clear()


def test_a_dump_opens_nothing_while_mails_wait(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, refusing: SMTPServer
) -> None:
    session = user_with_address(client, mailboxes, username="Alice")
    execute(service.database_url, REMOVE_PASSWORDS)
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    refusing.rcpt_replies += ["450 later"] * 100
    sent = [
        client.put("/me/email", json={"email": NEW}, headers=session),
        client.post("/me/reauthenticate/options", headers=session),
    ]
    tokens = [each.json()["challenge_token"] for each in sent]
    tokens.append(sign_up_by_email(client, SOMEBODY))
    request_reset(client, ALICE)
    program = bearer(service_token(service.database_url, "invitations:write"))
    invited = [
        client.post("/admin/invitations", json=body, headers=program).json()
        for body in ({"email": GUEST}, {})
    ]
    tokens.append(invited[1]["token"])
    wait_until(service.database_url, "(SELECT count(*) FROM mail WHERE error <> '') = 6")
    stored = dump(service.database_url)
    rows = [dict(row) for row in fetch(service.database_url, "SELECT * FROM challenge")]
    refusing.rcpt_replies.clear()
    execute(service.database_url, "UPDATE mail SET next_attempt_at = now()")
    secrets = [*tokens, session["Authorization"].removeprefix("Bearer ")]
    codes = [mailboxes.code(NEW), mailboxes.code(ALICE, number=2), mailboxes.code(SOMEBODY)]
    secrets += [mailboxes.token(ALICE, "Reset"), mailboxes.token(GUEST, "invitation")]
    for form in (form for secret in [*secrets, *codes] for form in forms_of(secret)):
        assert form not in stored
    kept = {bytes(value) for row in rows for value in row.values() if isinstance(value, bytes)}
    for code in codes:
        assert kept.isdisjoint(each for row in rows for each in hashes_of(code, row))
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert fetch_value(service.database_url, "SELECT count(*) FROM challenge") == len(rows)
    assert fetch_value(service.database_url, "SELECT count(*) FROM invitation") == len(invited)
